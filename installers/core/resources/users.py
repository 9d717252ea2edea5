"""Local users and groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.users import AddGroup, AddUser
from installers.core.facts.users import GroupNamed, GroupRecord, UserNamed, UserRecord
from installers.core.model import Blocked, Change, Decision, Fact, Facts, Satisfied
from installers.core.resources.base import BaseResource

NOLOGIN = "/usr/sbin/nologin"


@dataclass(frozen=True, slots=True)
class User(BaseResource):
    """A local user, by default a system account nobody can log in to.

    One that is there is taken as it is when its number fits; home and shell are the owner's.
    """

    name: str
    system: bool = True
    home: str = "/nonexistent"
    uid: int | None = None
    group: str = ""
    shell: str = NOLOGIN

    @property
    def key(self) -> str:
        return f"user:{self.name}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (UserNamed(self.name),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[UserNamed(self.name)]
        if present is not None:
            if self.uid is not None and present.uid not in (self.uid, -1):
                return Blocked("OLR-FILE-003", {"name": self.name, "present": present.uid, "wanted": self.uid})
            return Satisfied(f"the user {self.name} exists")
        action = AddUser(self.name, self.home, self.shell, self.system, self.uid, self.group)
        record = UserRecord(-1 if self.uid is None else self.uid, -1, self.home, self.shell)
        predicts: dict[Fact[Any], Any] = {UserNamed(self.name): record}
        if not self.group:
            predicts[GroupNamed(self.name)] = GroupRecord(-1)
        return Change((action,), f"there is no user {self.name}", predicts)


@dataclass(frozen=True, slots=True)
class Group(BaseResource):
    """A local group."""

    name: str
    system: bool = True
    gid: int | None = None

    @property
    def key(self) -> str:
        return f"group:{self.name}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (GroupNamed(self.name),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[GroupNamed(self.name)]
        if present is not None:
            if self.gid is not None and present.gid not in (self.gid, -1):
                return Blocked("OLR-FILE-003", {"name": self.name, "present": present.gid, "wanted": self.gid})
            return Satisfied(f"the group {self.name} exists")
        record = GroupRecord(-1 if self.gid is None else self.gid)
        action = AddGroup(self.name, self.system, self.gid)
        return Change((action,), f"there is no group {self.name}", {GroupNamed(self.name): record})
