"""Mounted file systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.mounts import MountNow, same_mount
from installers.core.facts.mounts import MountedAt, MountPoint
from installers.core.facts.units import UnitInfo, escape_path
from installers.core.model import Blocked, Change, Decision, Fact, Facts, Satisfied
from installers.core.resources.base import BaseResource
from installers.core.resources.units import Unit


@dataclass(frozen=True, slots=True)
class Mount(BaseResource):
    """A file system mounted now and at every boot, by a systemd mount unit. The directory must exist.

    ``what``: device or source; ``type``: as for mount(8), ``none`` with option ``bind`` for a bind.
    """

    what: str
    where: str
    type: str
    options: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"mount:{self.where}"

    def _unit(self) -> Unit:
        name = f"{escape_path(self.where)}.mount"
        options = f"Options={','.join(self.options)}\n" if self.options else ""
        content = (
            f"[Unit]\nDescription=Olares: {self.where}\n\n"
            f"[Mount]\nWhat={self.what}\nWhere={self.where}\nType={self.type}\n{options}\n"
            "[Install]\nWantedBy=local-fs.target\n"
        )
        return Unit(name.replace("%", "%%"), content=content)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (MountedAt(self.where), *self._unit().needs())

    def decide(self, facts: Facts) -> Decision:
        present, unit = facts[MountedAt(self.where)], self._unit()
        if present is not None and not same_mount(present, self.what, self.type):
            return Blocked("OLR-FILE-004", {"where": self.where, "present": present.what, "wanted": self.what})
        decision = unit.decide(facts)
        if isinstance(decision, Satisfied):
            return Satisfied(f"{self.what} is mounted at {self.where}, now and at boot")
        if isinstance(decision, Change):
            mounted = MountPoint(self.where, self.what, self.type, self.options)
            return Change(decision.actions, decision.why, {**decision.predicts, MountedAt(self.where): mounted})
        return decision

    @property
    def unit(self) -> UnitInfo:
        """The fact about its unit, for what must come after it."""
        return UnitInfo(self._unit().name)


@dataclass(frozen=True, slots=True)
class LiveMount(BaseResource):
    """A file system mounted until the next boot, also where no systemd runs. The directory must exist."""

    what: str
    where: str
    type: str
    options: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"mount:{self.where}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (MountedAt(self.where),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[MountedAt(self.where)]
        if present is None:
            mounted = MountPoint(self.where, self.what, self.type, self.options)
            action = MountNow(self.what, self.where, self.type, self.options)
            return Change((action,), f"nothing is mounted at {self.where}", {MountedAt(self.where): mounted})
        if same_mount(present, self.what, self.type):
            return Satisfied(f"{self.what} is mounted at {self.where}")
        return Blocked("OLR-FILE-004", {"where": self.where, "present": present.what, "wanted": self.what})
