"""Whether there is enough of everything: disk, memory, processors, kernel limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.conditions import EntryNames, Ours, Room
from installers.core.facts.kernel import SysctlValue
from installers.core.facts.platform import Cpu, Memory
from installers.core.facts.storage import SwapSpaces
from installers.core.model import Fact, Facts
from installers.precheck.check import ENGINES, BaseCheck, Failed, Passed, Severity, Verdict, size
from installers.site import PROGRAM

MIB, GIB = 1 << 20, 1 << 30

BUILDING = 6 * GIB
"""What the Kubernetes recipe reserves in the cache before it builds (``disk`` in its recipe.yaml)."""
FETCHING = 2 * GIB
"""Estimate: packages and images in the cache with Kubernetes already there."""
STATE = 3 * GIB
"""Estimate: unpacked images, etcd and the first data of the databases."""
SYSTEM = GIB // 2
"""Measured: 0.4 GiB of Debian packages and Kubernetes programs below /usr."""
OWN = GIB // 4
"""Measured: 0.2 GiB for this program with its libraries."""
REPAIR = GIB
"""Estimate: for logs, restarts and a repair where everything is installed already."""

KUBERNETES = "infrastructure-kubernetes-build-"
"""How names of built Kubernetes begin in the cache."""


@dataclass(frozen=True, slots=True)
class Disk(BaseCheck):
    """Room on each file system for all that lands on it."""

    state: str
    cache: str
    journal: str
    edition: str

    id: ClassVar[str] = "disk-free"
    title: ClassVar[str] = "Free disk space"

    @property
    def built(self) -> EntryNames:
        return EntryNames(f"{self.cache}/built", KUBERNETES)

    def needs(self) -> tuple[Fact[Any], ...]:
        rooms = dict.fromkeys(Room(path) for path in (self.state, self.cache, PROGRAM, "/usr"))
        return (*rooms, self.built, Ours(self.journal))

    def judge(self, facts: Facts) -> Verdict:
        totals: dict[int, int] = {}
        parts: dict[int, list[str]] = {}
        for path, bytes, what in self._wanted(facts):
            device = facts[Room(path)].device
            totals[device] = totals.get(device, 0) + bytes
            parts.setdefault(device, []).append(f"{what} {size(bytes)}")
        rooms = {facts[Room(path)].device: facts[Room(path)] for path in ("/usr", PROGRAM, self.cache, self.state)}
        said = []
        for device, needed in totals.items():
            room = rooms[device]
            if room.free < needed:
                what = ", ".join(parts[device])
                return Failed(
                    "OLR-PRE-007",
                    {"at": room.at, "free": size(room.free), "needed": size(needed), "parts": what},
                )
            said.append(f"{size(room.free)} at {room.at}, about {size(needed)} needed ({', '.join(parts[device])})")
        return Passed("; ".join(said))

    def _wanted(self, facts: Facts) -> tuple[tuple[str, int, str], ...]:
        if ENGINES & facts[Ours(self.journal)]:
            return ((self.state, REPAIR, "state"),)
        # Only Debian's edition builds Kubernetes; upstream's is fetched as it was released.
        cached = bool(facts[self.built]) or self.edition != "debian"
        return (
            (self.cache, FETCHING if cached else BUILDING, "cache" if cached else "cache while Kubernetes is built"),
            (self.state, STATE, "state"),
            ("/usr", SYSTEM, "packages"),
            (PROGRAM, OWN, "this program"),
        )


@dataclass(frozen=True, slots=True)
class MemorySize(BaseCheck):
    """Memory for a control plane and the databases."""

    id: ClassVar[str] = "memory"
    title: ClassVar[str] = "Memory"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Memory(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[Memory()]
        # Firmware and kernel keep some of what is built in: a machine sold with 2 GiB shows 1.9.
        if found < 2 * GIB * 9 // 10:
            return Failed("OLR-PRE-008", {"found": size(found)})
        if found < 4 * GIB * 9 // 10:
            return Failed("OLR-PRE-009", {"found": size(found)}, severity="warning")
        return Passed(size(found))


@dataclass(frozen=True, slots=True)
class Cpus(BaseCheck):
    """Processors enough that an install ends soon."""

    id: ClassVar[str] = "cpu"
    title: ClassVar[str] = "Processors"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Cpu(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[Cpu()]
        return Passed(f"{found}") if found >= 2 else Failed("OLR-PRE-010", {})


@dataclass(frozen=True, slots=True)
class SwapSpace(BaseCheck):
    """Swap is said, and left alone."""

    id: ClassVar[str] = "swap"
    title: ClassVar[str] = "Swap"
    severity: ClassVar[Severity] = "info"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (SwapSpaces(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[SwapSpaces()]
        if not found:
            return Passed("off")
        said = ", ".join(f"{size(space.size)} {space.kind}" for space in found)
        return Passed(f"{said}; it stays on, the kubelet is set to accept it")


LIMITS = (("fs.file-max", 65536), ("fs.inotify.max_user_instances", 128), ("fs.inotify.max_user_watches", 65536))
"""Kernel parameters and the least that some dozens of containers get along with."""


@dataclass(frozen=True, slots=True)
class KernelLimits(BaseCheck):
    """Open files and inotify watches for many containers."""

    id: ClassVar[str] = "kernel-limits"
    title: ClassVar[str] = "Kernel limits"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return tuple(SysctlValue(key) for key, _ in LIMITS)

    def judge(self, facts: Facts) -> Verdict:
        found = {key: int(facts[SysctlValue(key)] or 0) for key, _ in LIMITS}
        low = [f"{key}={least}" for key, least in LIMITS if found[key] < least]
        if low:
            now = ", ".join(f"{key.partition('=')[0]} is {found[key.partition('=')[0]]}" for key in low)
            return Failed("OLR-PRE-011", {"now": now, "settings": " ".join(low)})
        watches = found["fs.inotify.max_user_watches"]
        return Passed(f"{watches} inotify watches, {found['fs.inotify.max_user_instances']} instances")
