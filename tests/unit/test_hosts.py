"""Recorded and composed hosts in tests/data/hosts: every fact, every check and a whole plan, from the file alone.

Beside each ``NAME.yaml`` stands ``NAME.expect.yaml``, written by hand: ``facts`` by name (``Fact`` or
``Fact.field``), the checks that fail with their problem, which of these forbid an install, those that
cannot be made; of the plan the kinds of actions it ``needs`` or must ``never`` have, the steps it ``has`` and
``lacks``, and what is ``blocked`` in it.
``NAME.golden`` has all of it as it was when somebody last looked: ``python -m tests.hosts write``.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from installers.core.errors import Failure
from installers.core.host.archive import decode, encode
from installers.core.host.replay import ReplayProbe
from installers.core.model import Blocked, Change, Probe, Unknown
from installers.install import Options, plan
from installers.precheck.check import CheckResult
from installers.precheck.record import load_facts, record, recorded_precheck
from installers.precheck.run import precheck
from installers.site import Paths, Site
from olares_cli.commands.facts import known
from tests.fake.host import FakeProbe
from tests.hosts import HOSTS, NAMES, expected, golden, host
from tests.unit.core.cases import plain
from tests.unit.test_precheck_run import machine  # noqa: F401 (a fixture)

KEYS = {"about", "facts", "failed", "blocks", "not_run", "unknown", "plan"}
FRESH = ("remove-*", "delete-*", "disable-*", "stop-*", "sweep-*", "restore-*", "unload-*", "unmount-*")
"""Kinds of actions that a first install has no use for."""


def test_every_host_has_its_expectations_and_the_other_way_round() -> None:
    said = {path.name.removesuffix(".expect.yaml") for path in HOSTS.glob("*.expect.yaml")}
    assert said == set(NAMES) == {path.stem for path in HOSTS.glob("*.golden")}
    assert NAMES
    for name in NAMES:
        assert set(expected(name)) <= KEYS, name
        assert set(expected(name).get("plan", {})) <= {"none", "needs", "never", "blocked", "has", "lacks"}, name


@pytest.mark.parametrize("name", NAMES)
def test_a_host_says_where_it_is_from(name: str) -> None:
    made = host(name)
    assert made.source.startswith("recorded on " if made.run else "composed from "), made.source
    assert made.run == bool(made.scrubbed)


@pytest.mark.parametrize("name", NAMES)
def test_a_host_is_written_as_the_program_writes_it(name: str) -> None:
    assert encode(host(name)) == (HOSTS / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_is_answered(name: str) -> None:
    probe = ReplayProbe(host(name))
    answers = {type(fact).__name__: value for fact, value in load_facts(probe, known()).items()}
    assert probe.missed == []
    unknown = {fact for fact, value in answers.items() if isinstance(value, Unknown)}
    assert unknown == set(expected(name).get("unknown", ()))
    for words, value in expected(name)["facts"].items():
        fact, _, field = words.partition(".")
        found = plain(answers[fact])
        assert (found[field] if field else found) == value, words


@pytest.mark.parametrize("name", NAMES)
def test_every_check_is_made(name: str) -> None:
    probe = ReplayProbe(host(name))
    results = {result.id: result for result in recorded_precheck(host(name), probe)}
    assert probe.missed == []
    failed = {id: result.problem for id, result in results.items() if result.status == "failed"}
    assert failed == expected(name).get("failed", {})
    forbidding = {id for id in failed if results[id].severity == "error"}
    assert forbidding == set(expected(name)["blocks"])
    not_run = {id for id, result in results.items() if result.status == "not-run"}
    assert not_run == set(expected(name).get("not_run", ()))


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_keeps_what_was_said_of_it(name: str) -> None:
    said = expected(name).get("plan", {})
    if "none" in said:
        with pytest.raises(Failure, match=said["none"]):
            golden.planned(name)
        return
    items = golden.planned(name).items
    kinds = {action.kind for item in items if isinstance(item.decision, Change) for action in item.decision.actions}
    assert not {kind for kind in kinds for glob in FRESH if fnmatchcase(kind, glob)}
    assert set(said.get("needs", ())) <= kinds
    assert not set(said.get("never", ())) & kinds
    keys = {item.step.resource.key for item in items}
    assert [glob for glob in said.get("has", ()) if not any(fnmatchcase(key, glob) for key in keys)] == []
    assert [key for key in keys for glob in said.get("lacks", ()) if fnmatchcase(key, glob)] == []
    reasons = {item.step.resource.key: item.decision.fields for item in items if isinstance(item.decision, Blocked)}
    # What a recorder found no answer to stands there as a failure; what it was never asked is a gap of ours.
    assert [key for key, fields in reasons.items() if "OLR-REC-001" in str(fields)] == []
    blocked = set(reasons)
    for glob in said.get("blocked", ()):
        assert any(fnmatchcase(key, glob) for key in blocked), glob
    if said.get("blocked") == []:
        assert not blocked


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_is_what_somebody_looked_at(name: str) -> None:
    stood = golden.path_of(name).read_text()
    assert golden.text(name) == stood, "if this is meant: python -m tests.hosts write, then read the diff"


def same(results: tuple[CheckResult, ...]) -> list[tuple[str, str, str, str]]:
    return [(result.id, result.status, result.severity, result.problem) for result in results]


def test_a_recorded_host_is_the_host(machine: Any, tmp_path: Path) -> None:  # noqa: F811
    """Facts and verdicts of a simulated Debian, live and from what was written: the same but for its name."""
    machine.tree.file("/proc/sys/kernel/hostname", "quokka\n")
    machine.missing |= {"iptables-save", "ctr"}
    site = Site(source="debian", edition="debian", kube="kubernetes", paths=Paths(state=str(tmp_path)))
    made = record(site, FakeProbe(machine), known(), made_with="a test")
    assert "quokka" not in made.text
    archive = decode(made.text, path="a test")
    assert archive == made.archive
    probe = ReplayProbe(archive)
    again = load_facts(probe, known())
    assert probe.missed == []
    differ = {type(fact).__name__ for fact, value in again.items() if value != made.answers[fact]}
    assert differ == {"Hostname"}
    assert same(recorded_precheck(archive, probe)) == same(precheck(site, FakeProbe(machine)))
    assert [r.id for r in recorded_precheck(archive, probe) if r.status != "passed"] == []


def test_a_plan_is_recorded_without_what_it_reads_of_keys(machine: Any, tmp_path: Path) -> None:  # noqa: F811
    """The same steps are blocked and wanted from the recording; of certificates and secrets nothing is in it."""
    for path in ("/etc/olares/pki/etcd/ca.key", "/etc/olares/pki/etcd/ca.crt", f"{tmp_path}/secrets/postgres/admin"):
        machine.tree.file(path, "opossum\n")
    site = Site(source="debian", edition="debian", kube="kubernetes", paths=Paths(state=str(tmp_path)))
    options = Options(site)
    live = plan(options, FakeProbe(machine), past=golden.NOBODY)
    made = record(
        site,
        FakeProbe(machine),
        known(),
        made_with="a test",
        also=lambda probe: plan(options, probe, past=golden.NOBODY),
    )
    assert "opossum" not in made.text
    probe = ReplayProbe(made.archive)
    again = plan(options, probe, past=golden.NOBODY)
    unlike = {key for key, row in golden.steps(again).items() if golden.steps(live)[key] != row}
    assert all(key.startswith(("packages:", "file:/etc/olares/pki/", "unit:")) for key in unlike), unlike
    # Digests of short files can be guessed: none is written down, as in every recording.
    assert all(what.startswith(("content of /etc/olares/pki/", "digest of ")) for what in probe.missed), probe.missed


def test_an_installation_is_planned_again_by_its_own_choices(machine: Any, tmp_path: Path) -> None:  # noqa: F811
    """Which source and engine it was made with is in the recording; how its node is called is not."""
    machine.tree.file("/proc/sys/kernel/hostname", "quokka\n")
    choices = {"source": "debian", "places": [], "edition": "debian", "kube": "kubernetes"}
    lock = {**choices, "node": {"name": "quokka", "address": "192.0.2.7"}, "systems": {}}
    machine.tree.file(f"{tmp_path}/site.lock", json.dumps(lock))
    options = Options(Site(paths=Paths(state=str(tmp_path))))

    def also(probe: Probe) -> object:
        return plan(options, probe, past=golden.NOBODY)

    made = record(options.site, FakeProbe(machine), known(), made_with="a test", also=also)
    assert "quokka" not in made.text
    again = plan(options, ReplayProbe(made.archive), past=golden.NOBODY)
    assert (again.site.source, again.site.kube) == ("debian", "kubernetes")
    assert again.site.node.name not in ("", "quokka")


def test_problems_are_found_in_a_recording_as_on_the_host(machine: Any, tmp_path: Path) -> None:  # noqa: F811
    machine.free = 1 << 30
    machine.tree.file("/usr/bin/dockerd", "docker")
    machine.tree.file("/proc/sys/kernel/hostname", "My_Host\n")
    machine.tree.file(
        "/proc/net/tcp",
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0500A8C0:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n",
    )
    machine.tree.file("/proc/812/comm", "nginx\n")
    machine.tree.directory("/proc/812/fd")
    machine.tree.put("/proc/812/fd/5", "link", mode=0o777, content=b"socket:[4711]")
    machine.tree.put("/proc/812/fd/6", "link", mode=0o777, content=b"/home/mallory/diary")
    site = Site(source="debian", edition="debian", kube="kubernetes", paths=Paths(state=str(tmp_path)))
    live = precheck(site, FakeProbe(machine))
    assert {"disk-free", "other-runtimes", "ports-free", "node-name"} <= {r.id for r in live if r.status == "failed"}
    made = record(site, FakeProbe(machine), known(), made_with="a test")
    assert "diary" not in made.text
    replayed = recorded_precheck(made.archive, ReplayProbe(made.archive))
    assert same(replayed) == same(live)
    details = {result.id: result.detail for result in replayed}
    assert details["ports-free"] == "ports we need are in use: 6443 by nginx (process 812)"


def test_a_recording_that_would_tell_who_it_is_of_is_not_made(
    machine: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if a way of reading a file missed the host's name."""
    machine.tree.file("/proc/sys/kernel/hostname", "quokka\n")
    monkeypatch.setattr("installers.core.host.scrub.way_for", lambda path: lambda scrubber, text: text)
    with pytest.raises(Failure, match="OLR-REC-005") as caught:
        record(
            Site(source="debian", edition="debian", kube="kubernetes", paths=Paths(state=str(tmp_path))),
            FakeProbe(machine),
            known(),
            made_with="a test",
        )
    assert "quokka" not in str(caught.value)
