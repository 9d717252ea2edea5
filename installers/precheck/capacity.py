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
from installers.site import K3S_DATA, PROGRAM, Paths, Site

MIB, GIB = 1 << 20, 1 << 30

BUILDING = 6 * GIB
"""What the Kubernetes recipe reserves in the cache before it builds (``disk`` in its recipe.yaml)."""
FETCHING = 2 * GIB
"""Estimate: packages and images in the cache with Kubernetes already there."""
RUNTIME = 2 * GIB
"""Estimate: images, unpacked, and what containers write, where containerd has its root."""
RECORD = GIB // 4
"""Estimate: the cluster's record, etcd's or K3s's own, with its snapshots."""
VOLUMES = GIB - RECORD
"""Estimate: the first data of the databases."""
SYSTEM = GIB // 2
"""Measured: 0.4 GiB of Debian packages and Kubernetes programs below /usr."""
OWN = GIB // 4
"""Measured: 0.2 GiB for this program with its libraries."""
REPAIR = GIB
"""Estimate: for logs, restarts and a repair where everything is installed already, where containerd has its root."""

KUBERNETES = "infrastructure-kubernetes-build-"
"""How names of built Kubernetes begin in the cache."""


@dataclass(frozen=True, slots=True)
class Disk(BaseCheck):
    """Room on each file system for all that lands on it."""

    paths: Paths
    runtime: str
    """Where containerd has its root."""
    record: str
    """Where the cluster's record is."""
    builds: bool
    """Whether Kubernetes is built here where the cache does not have it."""

    id: ClassVar[str] = "disk-free"
    title: ClassVar[str] = "Free disk space"

    @property
    def built(self) -> EntryNames:
        return EntryNames(f"{self.paths.cache}/built", KUBERNETES)

    @property
    def journal(self) -> Ours:
        return Ours(self.paths.journal)

    @property
    def rooms(self) -> tuple[Room, ...]:
        """Where anything lands; of several on one file system the last gives it its name."""
        paths = ("/usr", PROGRAM, self.paths.cache, self.runtime, self.record, self.paths.state)
        return tuple(dict.fromkeys(map(Room, paths)))

    def needs(self) -> tuple[Fact[Any], ...]:
        return (*self.rooms, self.built, self.journal)

    def judge(self, facts: Facts) -> Verdict:
        totals: dict[int, int] = {}
        parts: dict[int, list[str]] = {}
        for path, bytes, what in self._wanted(facts):
            device = facts[Room(path)].device
            totals[device] = totals.get(device, 0) + bytes
            parts.setdefault(device, []).append(f"{what} {size(bytes)}")
        rooms = {facts[room].device: facts[room] for room in self.rooms}
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
        if ENGINES & facts[self.journal]:
            return ((self.runtime, REPAIR, "repairs"),)
        building = self.builds and not facts[self.built]
        cache = (BUILDING, "cache while Kubernetes is built") if building else (FETCHING, "cache")
        return (
            (self.paths.cache, *cache),
            (self.runtime, RUNTIME, "images"),
            (self.record, RECORD, "the cluster's record"),
            (self.paths.state, VOLUMES, "volumes"),
            ("/usr", SYSTEM, "packages"),
            (PROGRAM, OWN, "this program"),
        )


def disk(site: Site) -> Disk:
    """Room for what lands on this host with the chosen engine and source."""
    state = site.paths.state
    k3s = site.kube == "k3s"
    return Disk(
        site.paths,
        # K3s's own containerd and its SQLite file lie with K3s; any other containerd, and etcd, below our state.
        runtime=K3S_DATA if k3s and site.k3s.runtime != "shared" else state,
        record=K3S_DATA if k3s and site.k3s.datastore != "etcd" else state,
        # Only Debian's edition builds Kubernetes; a bundle brings it, upstream's is fetched as it was released.
        builds=site.edition == "debian" and site.source != "bundle",
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
