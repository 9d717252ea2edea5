"""Telling the firewall programs firewalld and ufw to let something through, and to do so no longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL, RestorePath, keep_before
from installers.core.errors import Failure
from installers.core.facts.allowances import Allowed, FirewallAllows
from installers.core.facts.files import BeforeImage, before_image, sha256
from installers.core.facts.firewalld import (
    ALWAYS,
    TRUSTED,
    Zone,
    masquerade,
    outer_zone,
    packaged_zone,
    same_zone,
    zone_file,
    zones,
)
from installers.core.facts.protection import service_runs
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Probe, Unknown

SECONDS = 60.0
OFFLINE = "firewall-offline-cmd"

Kept = tuple[tuple[str, BeforeImage], ...]
"""firewalld's file of a zone and the former one it keeps beside it, as they were."""


def _zone(what: str, outer: str) -> str:
    """The zone of firewalld's that something is written to."""
    return TRUSTED if outer and what.startswith("source ") else outer


def _kept(probe: Probe, zone: str) -> Kept:
    return tuple((path, before_image(probe, path)) for path in (zone_file(zone), f"{zone_file(zone)}.old") if zone)


def _firewalld(what: str, verb: str, zone: str) -> tuple[str, ...]:
    kind, _, value = what.partition(" ")
    words = f"rich-rule={masquerade(value)}" if kind == "masquerade" else f"{kind}={value}"
    return (*((f"--zone={zone}",) if zone else ()), f"--{verb}-{words}")


def _ufw(what: str, *verb: str) -> tuple[str, ...]:
    """ufw(8): ``delete`` and ``prepend`` stand before the rule, and of a forwarding one after ``route``."""
    kind, _, value = what.partition(" ")
    route = ("route",) if kind == "forward" else ()
    source = ("from",) if kind != "port" else ()
    return ("ufw", *route, *verb, "allow", *source, value)


@dataclass(frozen=True, slots=True)
class Allow(BaseAction):
    """Have ``firewalld`` or ``ufw`` let something through, in those sets of its rules where it does not yet."""

    kind: ClassVar[str] = "allow"
    lane: ClassVar[str] = "xtables"

    manager: str
    what: str

    @property
    def target(self) -> str:
        return f"{self.manager} {self.what}"

    def describe(self) -> str:
        return f"have {self.manager} {_asked(self.what)}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        found = FirewallAllows(self.manager).load(probe)
        if not isinstance(found, Allowed):
            return Disallow(self.manager, self.what, ())
        sets, zone = found.lacking(self.what), _zone(self.what, found.zone)
        return Disallow(self.manager, self.what, sets, zone, _kept(probe, zone) if ALWAYS in sets else ())

    def execute(self, host: Host) -> Outcome:
        found = FirewallAllows(self.manager).load(host)
        if not isinstance(found, Allowed):
            return DONE
        zone = _zone(self.what, found.zone)
        for path, before in _kept(host, zone):
            keep_before(host, before, path)
        for name in found.lacking(self.what):
            if self.manager == "ufw":
                # The first rule that fits decides: one against a wider network may stand there already. A port is
                # opened to those its owner lets in, and comes last.
                host.run(_ufw(self.what, *(() if self.what.startswith("port ") else ("prepend",))), timeout=SECONDS)
                return DONE
            permanent = ("--permanent",) if name == ALWAYS else ()
            host.run(("firewall-cmd", *permanent, *_firewalld(self.what, "add", zone)), timeout=SECONDS)
        return DONE


def _asked(what: str) -> str:
    kind, _, range = what.partition(" ")
    return f"masquerade what {range} sends elsewhere" if kind == "masquerade" else f"let through: {what}"


@dataclass(frozen=True, slots=True)
class Disallow(BaseAction):
    """Take a rule out of those sets (``now``, ``always``) that did not have it before; fine when it is gone.

    Also while the firewall is off: what it keeps for its next start is a set as well. ``zone``: where firewalld has
    it. ``kept``: files firewalld has written anew for it, which lose what is no rule.
    """

    kind: ClassVar[str] = "disallow"
    lane: ClassVar[str] = "xtables"

    manager: str
    what: str
    sets: tuple[str, ...]
    zone: str = ""
    kept: Kept = ()

    @property
    def target(self) -> str:
        return f"{self.manager} {self.what}"

    def describe(self) -> str:
        return f"have {self.manager} no longer {_asked(self.what)}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def past(self, older: Action) -> Action | None:
        # What was written to another zone is taken out of that one by itself.
        return older if isinstance(older, Disallow) and older.zone == self.zone else None

    def execute(self, host: Host) -> Outcome:
        try:
            self._remove(host)
        except Failure as failure:
            # The program was removed since, and its rules are in force no more.
            if failure.id != "OLR-HOST-003":
                raise
        self._put_back(host)
        return DONE

    def _put_back(self, host: Host) -> None:
        """firewalld's files as they were to the byte, where they say the same: its own form keeps no comments."""
        if not self.kept:
            return
        (path, before), _ = self.kept
        packaged = _text(host, packaged_zone(self.zone))
        former = packaged if before.type == "absent" else (before.content or "").encode() or _text(host, before.store)
        if same_zone(former, _text(host, path) or packaged):
            for path, before in self.kept:
                left = _text(host, path)
                RestorePath(path, sha256(left) if left else "", before).execute(host)

    def _remove(self, host: Host) -> None:
        if self.manager == "ufw":
            # Of a rule that is not there ufw says so and ends well.
            if self.sets:
                host.run(_ufw(self.what, "delete"), timeout=SECONDS)
            return
        if not service_runs(host, "firewalld.service"):
            if ALWAYS in self.sets:
                # It ends with NOT_ENABLED (12) where the rule is gone, and with others where its zone is.
                host.run((OFFLINE, *_firewalld(self.what, "remove", self.zone)), timeout=SECONDS, ok=range(256))
            return
        for name in self.sets:
            found = zones(host, name)
            zone = self.zone or ("" if isinstance(found, Unknown) else _zone(self.what, outer_zone(host, found)))
            # By its own words: out of a range somebody opened since, firewalld would take the port in the middle.
            if isinstance(found, Unknown) or self.what in found.get(zone, Zone()).rules:
                permanent = ("--permanent",) if name == ALWAYS else ()
                words = _firewalld(self.what, "remove", zone)
                host.run(("firewall-cmd", *permanent, *words), timeout=SECONDS)


def _text(probe: Probe, path: str) -> bytes:
    return probe.read(path) if path and probe.stat(path) is not None else b""


ACTIONS: tuple[type[BaseAction], ...] = (Allow, Disallow)
