"""Mounting for as long as the machine runs; mounts that come back at boot are units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL
from installers.core.facts.mounts import MountedAt, MountPoint
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe

TIMEOUT = 60.0
BUSY = 32


@dataclass(frozen=True, slots=True)
class MountNow(BaseAction):
    """Mount a file system."""

    kind: ClassVar[str] = "mount-now"

    what: str
    where: str
    type: str
    options: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return self.where

    def describe(self) -> str:
        return f"mount {self.what} at {self.where}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return UnmountNow(self.what, self.where, self.type)

    def execute(self, host: Host) -> Outcome:
        if _is_ours(host, self.what, self.where, self.type):
            return DONE
        options = ("-o", ",".join(self.options)) if self.options else ()
        host.run(("mount", "-t", self.type, *options, self.what, self.where), timeout=TIMEOUT)
        return DONE


@dataclass(frozen=True, slots=True)
class UnmountNow(BaseAction):
    """Unmount what we mounted, while it is that and nothing uses it."""

    kind: ClassVar[str] = "unmount-now"

    what: str
    where: str
    type: str

    @property
    def target(self) -> str:
        return self.where

    def describe(self) -> str:
        return f"unmount {self.where}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        if not isinstance(MountedAt(self.where).load(host), MountPoint):
            return DONE
        if not _is_ours(host, self.what, self.where, self.type):
            return Left(self.where, "something else is mounted there now")
        answer = host.run(("umount", self.where), timeout=TIMEOUT, ok=(0, BUSY))
        if answer.code:
            return Left(self.where, answer.stderr.strip() or "it is busy")
        return DONE


def _is_ours(probe: Probe, what: str, where: str, type: str) -> bool:
    found = MountedAt(where).load(probe)
    return isinstance(found, MountPoint) and same_mount(found, what, type)


def same_mount(found: MountPoint, what: str, type: str) -> bool:
    """Whether a mount shows this source; the kernel names a bind by its device and the part shown."""
    if type in ("none", "bind"):
        return what == found.root or what.endswith(found.root)
    return found.type == type and (found.what == what or not what.startswith("/"))


ACTIONS: tuple[type[BaseAction], ...] = (MountNow, UnmountNow)
