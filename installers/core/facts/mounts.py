"""What is mounted where."""

from __future__ import annotations

import re
from dataclasses import dataclass

from installers.core.model import Probe, Unknown


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One line of mountinfo. ``root``: the part of the file system that shows (not ``/`` for a bind)."""

    where: str
    what: str
    type: str
    options: tuple[str, ...]
    root: str = "/"


@dataclass(frozen=True, slots=True)
class MountedAt:
    """The topmost mount at exactly this path, None when nothing is mounted there."""

    where: str

    def load(self, probe: Probe) -> MountPoint | Unknown | None:
        found = [m for m in parse_mountinfo(probe.read("/proc/self/mountinfo").decode()) if m.where == self.where]
        return found[-1] if found else None


def parse_mountinfo(text: str) -> tuple[MountPoint, ...]:
    """/proc/self/mountinfo, in order; options of the mount, then of the file system, each once."""
    found: list[MountPoint] = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if separator and len(fields) >= 6 and len(rest) >= 3:
            options = dict.fromkeys([*fields[5].split(","), *rest[2].split(",")])
            where, root = _plain(fields[4]), _plain(fields[3])
            found.append(MountPoint(where, _plain(rest[1]), rest[0], tuple(options), root))
    return tuple(found)


def mount_above(mountinfo: str, at: str) -> MountPoint | None:
    """The mount a path lies on, its links not followed; of two at one place the later."""
    covering = [m for m in parse_mountinfo(mountinfo) if at == m.where or at.startswith(f"{m.where.rstrip('/')}/")]
    deepest = max((len(m.where) for m in covering), default=0)
    return next((m for m in reversed(covering) if len(m.where) == deepest), None)


def _plain(text: str) -> str:
    """Octal escapes (blank, tab, newline, backslash) undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
