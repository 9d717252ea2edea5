"""Local users and groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL
from installers.core.facts.users import GroupNamed, UserNamed
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe

TIMEOUT = 60.0
IN_USE = 8
"""userdel's and groupdel's exit status for a user with processes, a group that is somebody's own."""
GONE = 6


@dataclass(frozen=True, slots=True)
class AddUser(BaseAction):
    """Make a local user with a group of the same name. Its home directory is not made: say it as a Directory."""

    kind: ClassVar[str] = "add-user"
    lane: ClassVar[str] = "users"

    name: str
    home: str
    shell: str
    system: bool = True
    uid: int | None = None
    group: str = ""

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"add the user {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RemoveUser(self.name) if UserNamed(self.name).load(probe) is None else self

    def execute(self, host: Host) -> Outcome:
        if UserNamed(self.name).load(host) is not None:
            return DONE
        kind = ("--system",) if self.system else ()
        number = ("--uid", str(self.uid)) if self.uid is not None else ()
        taken = self.group or (self.name if GroupNamed(self.name).load(host) is not None else "")
        group = ("--gid", taken) if taken else ("--user-group",)
        home = ("--home-dir", self.home, "--no-create-home", "--shell", self.shell)
        host.run(("useradd", *kind, *number, *group, *home, self.name), timeout=TIMEOUT)
        return DONE


@dataclass(frozen=True, slots=True)
class RemoveUser(BaseAction):
    """Take away a user we made; one with processes stays, and so do its files."""

    kind: ClassVar[str] = "remove-user"
    lane: ClassVar[str] = "users"

    name: str

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"remove the user {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        if UserNamed(self.name).load(host) is None:
            return DONE
        answer = host.run(("userdel", self.name), timeout=TIMEOUT, ok=(0, GONE, IN_USE))
        if answer.code == IN_USE:
            return Left(f"user {self.name}", answer.stderr.strip() or "it has processes")
        return DONE


@dataclass(frozen=True, slots=True)
class AddGroup(BaseAction):
    """Make a local group."""

    kind: ClassVar[str] = "add-group"
    lane: ClassVar[str] = "users"

    name: str
    system: bool = True
    gid: int | None = None

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"add the group {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RemoveGroup(self.name) if GroupNamed(self.name).load(probe) is None else self

    def execute(self, host: Host) -> Outcome:
        if GroupNamed(self.name).load(host) is not None:
            return DONE
        kind = ("--system",) if self.system else ()
        number = ("--gid", str(self.gid)) if self.gid is not None else ()
        host.run(("groupadd", *kind, *number, self.name), timeout=TIMEOUT)
        return DONE


@dataclass(frozen=True, slots=True)
class RemoveGroup(BaseAction):
    """Take away a group we made; one that is somebody's own by now stays."""

    kind: ClassVar[str] = "remove-group"
    lane: ClassVar[str] = "users"

    name: str

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"remove the group {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        if GroupNamed(self.name).load(host) is None:
            return DONE
        answer = host.run(("groupdel", self.name), timeout=TIMEOUT, ok=(0, GONE, IN_USE))
        if answer.code == IN_USE:
            return Left(f"group {self.name}", answer.stderr.strip() or "it is a user's own group")
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (AddUser, RemoveUser, AddGroup, RemoveGroup)
