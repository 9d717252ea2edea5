"""firewalld as it answers: its zones, those in force and those it begins with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, fromstring

from installers.core.facts.identity import parse_default_routes
from installers.core.facts.virtual import text_of
from installers.core.model import Probe, Query, Unknown

NOW, ALWAYS = "now", "always"
"""The two sets of rules firewalld keeps: the one in force and the one it begins with."""

TRUSTED = "trusted"
"""The zone that accepts everything, forwarded packets too."""


@dataclass(frozen=True, slots=True)
class Zone:
    """What belongs to a zone (interfaces, networks), and what it lets through or does with it."""

    interfaces: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    rich: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """In our words: ``source 10.0.0.0/16``, ``port 6443/tcp``, ``masquerade 10.0.0.0/16``."""
        hidden = (f"masquerade {range}" for rule in self.rich if (range := masqueraded(rule)))
        return (*(f"source {one}" for one in self.sources), *(f"port {one}" for one in self.ports), *hidden)


def zones(probe: Probe, name: str) -> Mapping[str, Zone] | Unknown:
    """All zones of one of its sets."""
    words = ("--permanent",) if name == ALWAYS else ()
    answer = probe.query(Query("firewall-cmd", (*words, "--list-all-zones")))
    if answer.code:
        return Unknown(f"firewalld does not answer: {(answer.stderr or answer.stdout).strip()[:200]}")
    return parse_zones(answer.stdout)


def parse_zones(text: str) -> dict[str, Zone]:
    """``firewall-cmd --list-all-zones``: a line with the name, lines of two blanks, rich rules below by a tab."""
    found: dict[str, Zone] = {}
    for block in re.split(r"\n{2,}", text.strip("\n")):
        name, *lines = block.split("\n")
        rows = {key: values for key, _, values in (line.strip().partition(":") for line in lines if line[:1] == " ")}
        interfaces, sources, ports = (tuple(rows.get(key, "").split()) for key in ("interfaces", "sources", "ports"))
        rich = tuple(line.strip() for line in lines if line.startswith("\t"))
        if name.strip():
            found[name.split()[0]] = Zone(interfaces, sources, ports, rich)
    return found


def outer_zone(probe: Probe, now: Mapping[str, Zone]) -> str:
    """The zone by which other computers come in: that of the link of the default route, else the default one."""
    link = next((route.link for route in parse_default_routes(text_of(probe, "/proc/net/route"))), "")
    default = re.search(r"^DefaultZone=(\S+)", text_of(probe, "/etc/firewalld/firewalld.conf"), re.MULTILINE)
    bound = (name for name, zone in now.items() if link in zone.interfaces)
    return next(bound, default[1] if default else "public")


def masquerade(range: str) -> str:
    """The rule that has what a range sends elsewhere carry this computer's address."""
    return f'rule family="ipv4" source address="{range}" destination not address="{range}" masquerade'


def masqueraded(rule: str) -> str:
    """The range of such a rule as firewalld prints it, "" of others."""
    range = re.search(r'source address="([^"]+)"', rule)
    return range[1] if range and rule.lower() == masquerade(range[1]).lower() else ""


def zone_file(zone: str) -> str:
    """Where firewalld keeps a zone once it was changed; what it replaces there it keeps beside it, as ``.old``."""
    return f"/etc/firewalld/zones/{zone}.xml"


def packaged_zone(zone: str) -> str:
    """The zone as firewalld's package brings it."""
    return f"/usr/lib/firewalld/zones/{zone}.xml"


def same_zone(one: bytes, other: bytes) -> bool:
    """Whether two files of a zone say the same, however their lines are ordered and set out."""
    try:
        return bool(one and other) and _meaning(one) == _meaning(other)
    except ParseError:
        return False


def _meaning(text: bytes) -> tuple[object, ...]:
    return _told(fromstring(text))  # noqa: S314 (root's own file)


def _told(element: Element) -> tuple[object, ...]:
    attributes = tuple(sorted((name, value.lower()) for name, value in element.attrib.items()))
    below = tuple(sorted((_told(child) for child in element), key=repr))
    return element.tag, attributes, " ".join((element.text or "").split()), below
