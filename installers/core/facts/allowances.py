"""What the firewall programs firewalld and ufw have been told to let through."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from installers.core.facts.protection import FirewallManagers
from installers.core.model import Output, Probe, Query, Unknown

NOW, ALWAYS = "now", "always"
"""The two sets of rules firewalld keeps: the one in force and the one it begins with. ufw has one for both."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is let through ``now``, and ``always``: after the next start too. Each as ``source 10.0.0.0/16`` (all from
    there to this machine), ``forward 10.0.0.0/16`` (all from there to elsewhere), ``port 6443/tcp`` (from anywhere).
    """

    now: tuple[str, ...] = ()
    always: tuple[str, ...] = ()

    def lacking(self, what: str) -> tuple[str, ...]:
        """The sets that do not let something through."""
        return tuple(name for name, rules in ((NOW, self.now), (ALWAYS, self.always)) if not _covered(what, rules))


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
    sets: list[tuple[str, ...]] = []
    for set_ in ((), ("--permanent",)):
        words: list[str] = []
        for zone, what, kind in TABLES:
            answer = probe.query(Query("firewall-cmd", (*set_, *zone, f"--list-{what}")))
            if answer.code:
                return _silent("firewalld", answer)
            words += [f"{kind} {word}" for word in answer.stdout.split()]
        sets.append(tuple(words))
    return Allowed(*sets)


ZONE = ("--zone=trusted",)
"""firewalld's zone that accepts everything, forwarded packets too."""
TABLES = ((ZONE, "sources", "source"), ((), "ports", "port"))
"""Zone (the default one where none is named), firewalld's word for what is listed, and ours."""


def _ufw(probe: Probe) -> Allowed | Unknown:
    answer = probe.query(Query("ufw", ("show", "added")))
    if answer.code:
        return _silent("ufw", answer)
    rules = tuple(parse_ufw(answer.stdout))
    return Allowed(rules, rules)


def _silent(manager: str, answer: Output) -> Unknown:
    return Unknown(f"{manager} does not answer: {(answer.stderr or answer.stdout).strip()[:200]}")


_UFW = (
    (re.compile(r"ufw allow from (\S+)"), "source"),
    (re.compile(r"ufw route allow from (\S+)"), "forward"),
    (re.compile(r"ufw allow (\d+/(?:tcp|udp))"), "port"),
)


def parse_ufw(text: str) -> list[str]:
    """``ufw show added``: rules as the commands that make them; those with more conditions are none of ours."""
    lines = [re.sub(r" comment '.*'$", "", line.strip()) for line in text.splitlines()]
    return [f"{kind} {match[1]}" for line in lines for form, kind in _UFW if (match := form.fullmatch(line))]


READERS: Mapping[str, Callable[[Probe], Allowed | Unknown]] = {"firewalld": _firewalld, "ufw": _ufw}
