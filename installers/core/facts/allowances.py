"""What the firewall programs firewalld and ufw have been told to let through."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from installers.core.facts.firewalld import ALWAYS, NOW, TRUSTED, Zone, outer_zone, zones
from installers.core.facts.protection import FirewallManagers
from installers.core.model import Probe, Query, Unknown


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is let through ``now``, and ``always``: after the next start too. Each as ``source 10.0.0.0/16`` (all from
    there to this machine), ``forward 10.0.0.0/16`` (all from there to elsewhere), ``port 6443/tcp`` (from anywhere),
    ``masquerade 10.0.0.0/16`` (what goes from there to elsewhere carries this machine's address).

    ``decided``: what its owner has decided otherwise about, and how. ``zone``: firewalld's, by which others come in.
    """

    now: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    decided: tuple[tuple[str, str], ...] = ()
    zone: str = ""

    def otherwise(self, what: str) -> str:
        """What its owner decided about this, "" for nothing."""
        return next((why for rule, why in self.decided if rule == what or _comes_first(rule, what)), "")

    def lacking(self, what: str) -> tuple[str, ...]:
        """The sets that do not let something through."""
        return tuple(name for name, rules in ((NOW, self.now), (ALWAYS, self.always)) if not _covered(what, rules))


def _comes_first(rule: str, what: str) -> bool:
    """Whether it is about networks some of which is decided on before (``first 10.0.0.0/8``)."""
    if not (rule.startswith("first ") and what.startswith("source ")):
        return False
    try:
        one, other = (ip_network(text.split()[1], strict=False) for text in (rule, what))
    except ValueError:
        # Hardware addresses and sets of firewalld's.
        return False
    return one.version == other.version and one.overlaps(other)


_PORTS = re.compile(r"port (\d+)(?:-(\d+))?/(\w+)")


def _covered(what: str, rules: tuple[str, ...]) -> bool:
    """Whether a rule says it, or a range of ports has it: Fedora Workstation opens 1025-65535, and firewalld takes
    a port out of the middle of such a range when it is told to close it.
    """
    wanted = _PORTS.fullmatch(what)
    if wanted is None:
        return what in rules
    ranges = (match for rule in rules if (match := _PORTS.fullmatch(rule)) and match[3] == wanted[3])
    return any(int(match[1]) <= int(wanted[1]) <= int(match[2] or match[1]) for match in ranges)


@dataclass(frozen=True, slots=True)
class FirewallAllows:
    """What ``firewalld`` or ``ufw`` lets through, None where it is off."""

    manager: str

    def load(self, probe: Probe) -> Allowed | Unknown | None:
        found = FirewallManagers().load(probe)
        if isinstance(found, Unknown) or self.manager not in found:
            return found if isinstance(found, Unknown) else None
        return READERS[self.manager](probe)


def _firewalld(probe: Probe) -> Allowed | Unknown:
    now, always = zones(probe, NOW), zones(probe, ALWAYS)
    if isinstance(now, Unknown):
        return now
    if isinstance(always, Unknown):
        return always
    outer = outer_zone(probe, now)
    elsewhere: dict[str, str] = {}
    for name, source in (
        (name, source) for found in (now, always) for name, z in found.items() for source in z.sources
    ):
        if name != TRUSTED:
            # It looks zones through by name.
            kind = "first" if name < TRUSTED else "source"
            elsewhere[f"{kind} {source}"] = f"{source} belongs to the zone {name}"
    return Allowed(_let_through(now, outer), _let_through(always, outer), tuple(elsewhere.items()), outer)


def _let_through(found: Mapping[str, Zone], outer: str) -> tuple[str, ...]:
    """Networks of the trusted zone, everything else of the outer one."""
    trusted = (rule for rule in found.get(TRUSTED, Zone()).rules if rule.startswith("source "))
    return (*trusted, *(rule for rule in found.get(outer, Zone()).rules if not rule.startswith("source ")))


def _ufw(probe: Probe) -> Allowed | Unknown:
    answer = probe.query(Query("ufw", ("show", "added")))
    if answer.code:
        return Unknown(f"ufw does not answer: {(answer.stderr or answer.stdout).strip()[:200]}")
    return parse_ufw(answer.stdout)


_VERB = r"(allow|deny|reject|limit)(?: log(?:-all)?)?"
_UFW = (
    (re.compile(rf"ufw {_VERB} from (\S+)"), "source", ("allow",)),
    (re.compile(rf"ufw route {_VERB} from (\S+)"), "forward", ("allow",)),
    # A few connections at a time are as much as its owner wants, and work.
    (re.compile(rf"ufw {_VERB} (\d+/(?:tcp|udp))"), "port", ("allow", "limit")),
)


def parse_ufw(text: str) -> Allowed:
    """``ufw show added``: rules as the commands that make them; those with more conditions are none of ours.

    ufw keeps one rule for the same packets: told to allow what is denied, limited or logged it forgets that.
    """
    rules: list[str] = []
    decided: list[tuple[str, str]] = []
    for line in text.splitlines():
        rule = re.sub(r" comment '.*'$", "", line.strip())
        for form, kind, good in _UFW:
            match = form.fullmatch(rule)
            if match and match[1] in good:
                rules.append(f"{kind} {match[2]}")
            elif match:
                decided.append((f"{kind} {match[2]}", f"its rule is `{rule}`"))
    return Allowed(tuple(rules), tuple(rules), tuple(decided))


READERS: Mapping[str, Callable[[Probe], Allowed | Unknown]] = {"firewalld": _firewalld, "ufw": _ufw}
