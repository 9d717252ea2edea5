"""Telling the firewall programs firewalld and ufw to let something through, and to do so no longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL
from installers.core.errors import Failure
from installers.core.facts.allowances import ALWAYS, NOW, ZONE, Allowed, FirewallAllows
from installers.core.facts.protection import service_runs
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Probe

SECONDS = 60.0
OFFLINE = "firewall-offline-cmd"


def _missing(probe: Probe, manager: str, what: str) -> tuple[str, ...]:
    found = FirewallAllows(manager).load(probe)
    return found.lacking(what) if isinstance(found, Allowed) else ()


def _firewalld(what: str, verb: str) -> tuple[str, ...]:
    kind, _, value = what.partition(" ")
    return (*(ZONE if kind == "source" else ()), f"--{verb}-{kind}={value}")


def _ufw(what: str, *verb: str) -> tuple[str, ...]:
    """ufw(8): ``delete`` stands before the rule, and of a forwarding one after ``route``."""
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
        return f"have {self.manager} let through: {self.what}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Disallow(self.manager, self.what, _missing(probe, self.manager, self.what))

    def execute(self, host: Host) -> Outcome:
        for name in _missing(host, self.manager, self.what):
            if self.manager == "ufw":
                host.run(_ufw(self.what), timeout=SECONDS)
                return DONE
            permanent = ("--permanent",) if name == ALWAYS else ()
            host.run(("firewall-cmd", *permanent, *_firewalld(self.what, "add")), timeout=SECONDS)
        return DONE


@dataclass(frozen=True, slots=True)
class Disallow(BaseAction):
    """Take a rule out of those sets (``now``, ``always``) that did not have it before; fine when it is gone.

    Also while the firewall is off: what it keeps for its next start is a set as well.
    """

    kind: ClassVar[str] = "disallow"
    lane: ClassVar[str] = "xtables"

    manager: str
    what: str
    sets: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"{self.manager} {self.what}"

    def describe(self) -> str:
        return f"have {self.manager} no longer let through: {self.what}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def past(self, older: Action) -> Action | None:
        if not isinstance(older, Disallow):
            return None
        return Disallow(self.manager, self.what, older.sets)

    def execute(self, host: Host) -> Outcome:
        try:
            self._remove(host)
        except Failure as failure:
            # The program was removed since, and its rules are in force no more.
            if failure.id != "OLR-HOST-003":
                raise
        return DONE

    def _remove(self, host: Host) -> None:
        if self.manager == "ufw":
            # Of a rule that is not there ufw says so and ends well.
            if self.sets:
                host.run(_ufw(self.what, "delete"), timeout=SECONDS)
            return
        if not service_runs(host, "firewalld.service"):
            if ALWAYS in self.sets:
                # It ends with NOT_ENABLED (12) where the rule is gone, and with others where its zone is.
                host.run((OFFLINE, *_firewalld(self.what, "remove")), timeout=SECONDS, ok=range(256))
            return
        found = FirewallAllows(self.manager).load(host)
        # By its own words: out of a range somebody opened since, firewalld would take the port in the middle.
        rules = {NOW: found.now, ALWAYS: found.always} if isinstance(found, Allowed) else {}
        for name in (name for name in self.sets if self.what in rules.get(name, (self.what,))):
            permanent = ("--permanent",) if name == ALWAYS else ()
            host.run(("firewall-cmd", *permanent, *_firewalld(self.what, "remove")), timeout=SECONDS)


ACTIONS: tuple[type[BaseAction], ...] = (Allow, Disallow)
