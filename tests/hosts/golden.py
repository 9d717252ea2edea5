"""What this program makes of a recorded host, as text for people to review: every check, every step of a plan.

``NAME.golden`` lies beside ``NAME.yaml``. It is written by ``python -m tests.hosts write`` alone, never by the
test that compares it. A plan is written in full for one plain host of each source and engine; for the others only
the steps that differ from it, which is what a platform is about. What is made anew at every edit of a recipe
(digests) is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from installers.core.engine.plan import Past, Planned
from installers.core.errors import Failure
from installers.core.host.archive import Archive
from installers.core.host.replay import ReplayProbe
from installers.core.model import Blocked, Change, Deferred, Satisfied
from installers.install import InstallPlan, Options, plan
from installers.precheck.record import recorded_precheck, site_of
from tests.hosts import HOSTS, host

PLAIN = {("debian", "kubernetes"): "debian-12", ("upstream", "k3s"): "ubuntu-24.04"}
"""The host whose plan is written in full, by source and engine."""
NOBODY = Past({}, {})
"""No journal: what was done before on a recorded host is not in the recording."""


def path_of(name: str) -> Path:
    return HOSTS / f"{name}.golden"


@cache
def planned(name: str) -> InstallPlan:
    """The whole install, planned from the recording alone for the site it was recorded for; planned once."""
    archive = host(name)
    return plan(Options(site_of(archive)), ReplayProbe(archive), past=NOBODY)


def text(name: str) -> str:
    """The golden's text as it has to be now."""
    archive = host(name)
    site = site_of(archive)
    head = f"{name}: source {site.source}, engine {site.kube}; {'recorded' if archive.run else 'designed, not run'}"
    return "\n".join([head, "", "CHECKS", *checks(archive), "", *_plan(name, archive), ""])


def checks(archive: Archive) -> list[str]:
    """One line for each check: mark, severity of a failure, id, problem, what was seen."""
    lines = []
    for result in recorded_precheck(archive, ReplayProbe(archive)):
        severity = result.severity if result.status == "failed" else ""
        words = (f"{result.status:8}", f"{severity:7}", f"{result.id:18}", result.problem, result.detail)
        lines.append(" ".join(word for word in words if word))
    return lines


def _plan(name: str, archive: Archive) -> list[str]:
    try:
        rows = steps(planned(name))
    except Failure as failure:
        return ["PLAN", f"none: {failure}"]
    plain = PLAIN.get((archive.wanted.source, archive.wanted.kube), name)
    if plain == name:
        return ["PLAN", *rows.values()]
    usual = steps(planned(plain))
    unlike = [row for key, row in rows.items() if usual.get(key) != row]
    missing = [f"{'no step':9} {key}" for key in usual if key not in rows]
    return [f"PLAN as for {plain}, but", *(unlike + missing or ["nothing"])]


def steps(found: InstallPlan) -> Mapping[str, str]:
    """A line for each step by its key: decision, key, and what it comes to."""
    return {item.step.resource.key: _row(item) for item in found.items}


def _row(item: Planned) -> str:
    key = item.step.resource.key
    match item.decision:
        case Satisfied(why):
            word, rest = "satisfied", why
        case Change(actions, _, _):
            word, rest = "change", ", ".join(action.kind for action in actions)
        case Deferred(until, _):
            word, rest = "deferred", f"until {until}"
        case Blocked(id, fields):
            # The key stands in the line already, and a fact's own fields are the resource's.
            said = {name: str(value).partition("(")[0] if name == "fact" else value for name, value in fields.items()}
            word, rest = "blocked", f"{id}: {Failure(id, **(said | {'key': 'it'} if 'key' in said else said)).what}"
    return f"{word:9} {key}  [{' '.join(rest.split())}]"
