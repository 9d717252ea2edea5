"""What is true of a machine from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass

from installers.core.model import Probe, Unknown


@dataclass(frozen=True, slots=True)
class MachinePid:
    """nspawn's pid while the machine runs, else None. ``pids``: the file its launcher wrote."""

    pids: str

    def load(self, probe: Probe) -> int | Unknown | None:
        if probe.stat(self.pids) is None:
            return None
        row = json.loads(probe.read(self.pids))
        return row["pid"] if _started(probe, row["pid"]) == row["start_time"] else None


def _started(probe: Probe, pid: int) -> int:
    """A process's start time in clock ticks since boot; 0 when it is gone or a zombie."""
    try:
        line = probe.read(f"/proc/{pid}/stat").decode()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = line[line.rindex(")") + 2 :].split()
    return 0 if fields[0] == "Z" else int(fields[19])


@dataclass(frozen=True, slots=True)
class Spec:
    """What machine.json at a path says; None when there is no machine."""

    path: str

    def load(self, probe: Probe) -> str | Unknown | None:
        return probe.read(self.path).decode() if probe.stat(self.path) else None


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Whether the base root is there: it is unpacked beside its place and renamed when whole."""

    directory: str

    def load(self, probe: Probe) -> bool | Unknown:
        return probe.stat(self.directory) is not None
