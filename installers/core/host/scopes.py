"""Scopes: what a process of ours is known by after the run that started it was killed.

A scope is journaled before its process does anything, so that the next run can find the
survivors, wait for them or end them.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from installers.core.errors import Failure
from installers.core.host import processes

MARK = "OLARES_SCOPE"
"""Environment variable which carries the scope's name to everything its process starts."""

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL, and again until a killed process must be gone."""

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Scope:
    """One process of ours and all it starts.

    ``systemd``: ``unit`` is a transient scope unit, ``pid`` is 0. ``group``: ``pid`` leads its own
    session; ``start_time`` (clock ticks since boot) tells it from a later process of that number.
    ``boot_id``: the boot it was started in; nothing survives another one.
    """

    name: str
    kind: Literal["systemd", "group"]
    unit: str
    pid: int
    start_time: int
    boot_id: str


class Scopes(Protocol):
    """Who keeps scopes: the journal, through the engine. Calls come from the thread that runs the action."""

    def name(self) -> str:
        """A name never given before on this host: ``olares-<run>-<seq>-<n>``, letters, digits and dashes."""

    def opened(self, scope: Scope) -> None:
        """Written down durably when this returns; only then does the process begin."""

    def closed(self, scope: Scope) -> None:
        """The scope's process has ended and its result is known; nobody needs to look for it any more."""

    def interrupted(self) -> bool:
        """Whether the run is to stop and this action may be cut short; asked ten times a second."""


def boot_id() -> str:
    """The kernel's name for this boot; without /proc (macOS) when the first process started."""
    if not _PROC.is_dir():
        return f"since-{processes.start_time(1)}"
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (without /proc: seconds since 1970); 0 when there is none."""
    if not _PROC.is_dir():
        return processes.start_time(pid)
    fields = _stat(pid)
    return fields[2] if fields else 0


def has_systemd() -> bool:
    """Whether systemd is PID 1 (its own documented test)."""
    return Path("/run/systemd/system").is_dir()


def survivors(scope: Scope) -> list[int]:
    """Processes of the scope still running, by pid; never one that merely got an old number."""
    if scope.boot_id != boot_id():
        return []
    found = _in_unit(scope.unit) if scope.kind == "systemd" else _in_session(scope)
    own = os.getpid()
    return sorted(pid for pid in found if pid != own)


def settle(scope: Scope, wait: float) -> None:
    """Wait up to ``wait`` seconds for the scope's processes to finish, then end them: TERM, later KILL.

    Raises ``Failure("OLR-HOST-004")`` when one cannot be ended (stuck in the kernel).
    """
    if _gone(scope, wait):
        return
    end(scope)


def end(scope: Scope) -> None:
    """End every process of a scope: SIGTERM, after ``GRACE`` seconds SIGKILL until none is left."""
    _signal(scope, signal.SIGTERM)
    if _gone(scope, GRACE):
        return
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline:
        _signal(scope, signal.SIGKILL)
        if _gone(scope, 0.2):
            return
    stuck = survivors(scope)
    if stuck:
        raise Failure("OLR-HOST-004", pids=", ".join(map(str, stuck)), scope=scope.name)


def _gone(scope: Scope, wait: float) -> bool:
    """Whether the scope is empty within ``wait`` seconds. Not our children, so the kernel does not tell us."""
    deadline = time.monotonic() + wait
    pause = 0.01
    while survivors(scope):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.5)
    return True


def _signal(scope: Scope, number: signal.Signals) -> None:
    for pid in survivors(scope):
        with suppress(ProcessLookupError):
            if not hasattr(os, "pidfd_open"):
                # macOS has no handles on processes: the number was theirs a moment ago.
                os.kill(pid, number)
                continue
            handle = os.pidfd_open(pid)
            try:
                # Asked again with the handle open: from here on the number cannot change its owner.
                if pid in survivors(scope):
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def _stat(pid: int) -> tuple[int, int, int, str] | None:
    """Process group, session, start time and state of a process, from /proc/PID/stat."""
    try:
        line = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name in brackets may itself contain blanks and brackets.
    rest = line[line.rindex(")") + 2 :].split()
    return int(rest[2]), int(rest[3]), int(rest[19]), rest[0]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 (names only, often)


def _in_unit(unit: str) -> list[int]:
    """Processes whose systemd cgroup path passes through the unit, in whatever hierarchy systemd uses."""
    found = []
    for pid in _pids():
        with suppress(FileNotFoundError, ProcessLookupError):
            groups = (_PROC / str(pid) / "cgroup").read_text().splitlines()
            paths = [line.split(":", 2)[2] for line in groups if line.startswith("0::") or ":name=systemd:" in line]
            fields = _stat(pid)
            if any(unit in path.split("/") for path in paths) and fields and fields[3] != "Z":
                found.append(pid)
    return found


def _in_session(scope: Scope) -> list[int]:
    """Members of the session or group the scope's process leads.

    A leader with another start time means that the group had emptied before the number was
    given again. With no leader, the mark in the environment tells our orphans from others'. Without
    /proc nobody shows us that mark: there the group is ours only while its leader is.
    """
    if not _PROC.is_dir():
        led = processes.start_time(scope.pid) == scope.start_time
        return list(processes.members(scope.pid)) if led else []
    leader = _stat(scope.pid)
    if leader and leader[2] != scope.start_time:
        return []
    found = []
    for pid in _pids():
        fields = _stat(pid)
        if not fields or fields[3] == "Z" or scope.pid not in fields[:2] or fields[2] < scope.start_time:
            continue
        if leader or _marked(pid, scope.name):
            found.append(pid)
    return found


def _marked(pid: int, name: str) -> bool:
    try:
        return f"{MARK}={name}".encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
