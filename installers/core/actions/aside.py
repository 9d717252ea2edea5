"""Taking something out of the way whole, whatever it is, and putting it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL, make_parents, make_store
from installers.core.facts.files import sha256
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe
from installers.site import Paths


@dataclass(frozen=True, slots=True)
class MoveAside(BaseAction):
    """Take something out of the way, into the root-only store, whatever it is."""

    kind: ClassVar[str] = "move-aside"

    path: str

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"move {self.path} aside"

    def _place(self, probe: Probe) -> str:
        """Named by path and inode: inverse and execute see the same, a later thing there another."""
        stat = probe.stat(self.path)
        inode = f"{stat.device:x}-{stat.inode:x}" if stat else "none"
        name = sha256(self.path.encode())[:16]
        return f"{Paths.from_environment().before}/aside/{name}-{inode}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return MoveBack(self.path, self._place(probe))

    def execute(self, host: Host) -> Outcome:
        if host.stat(self.path) is None:
            return DONE
        place = self._place(host)
        make_store(host, place.rpartition("/")[0])
        host.move(self.path, place)
        return DONE


@dataclass(frozen=True, slots=True)
class MoveBack(BaseAction):
    """Put back what was moved aside."""

    kind: ClassVar[str] = "move-back"

    path: str
    place: str

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"put {self.path} back"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        if host.stat(self.place) is None:
            return DONE
        if host.stat(self.path) is not None:
            return Left(self.place, f"something else is at {self.path} now")
        make_parents(host, self.path)
        host.move(self.place, self.path)
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (MoveAside, MoveBack)
