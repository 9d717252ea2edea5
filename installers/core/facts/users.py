"""Users and groups as the host's own files name them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from installers.core.model import Probe, Unknown


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A line of /etc/passwd."""

    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A line of /etc/group."""

    gid: int
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserNamed:
    """A local user, None when there is none of that name."""

    name: str

    def load(self, probe: Probe) -> UserRecord | Unknown | None:
        return parse_users(probe.read("/etc/passwd").decode()).get(self.name)


@dataclass(frozen=True, slots=True)
class GroupNamed:
    """A local group, None when there is none of that name."""

    name: str

    def load(self, probe: Probe) -> GroupRecord | Unknown | None:
        return parse_groups(probe.read("/etc/group").decode()).get(self.name)


@lru_cache(maxsize=4)
def parse_users(text: str) -> dict[str, UserRecord]:
    """/etc/passwd; compat lines (``+``) and broken ones are no users of ours to name."""
    found: dict[str, UserRecord] = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdigit() and fields[3].isdigit():
            found.setdefault(fields[0], UserRecord(int(fields[2]), int(fields[3]), fields[5], fields[6]))
    return found


@lru_cache(maxsize=4)
def parse_groups(text: str) -> dict[str, GroupRecord]:
    found: dict[str, GroupRecord] = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 4 and fields[2].isdigit():
            found.setdefault(fields[0], GroupRecord(int(fields[2]), tuple(m for m in fields[3].split(",") if m)))
    return found
