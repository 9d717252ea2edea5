"""Where data would lie: file system, its options, the disk below; swap; how mounts are shared."""

from __future__ import annotations

import json
import os
import posixpath
import re
from dataclasses import dataclass

from installers.core.facts.conditions import landing
from installers.core.facts.mounts import MountPoint, mount_above
from installers.core.facts.virtual import text_of
from installers.core.model import Probe, Unknown


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The mount a path lies on or would lie on, links followed."""

    path: str

    def load(self, probe: Probe) -> MountPoint | Unknown:
        mountinfo = probe.read("/proc/self/mountinfo").decode()
        return mount_above(mountinfo, landing(probe, self.path)) or Unknown(f"nothing is mounted above {self.path}")


@dataclass(frozen=True, slots=True)
class RootShared:
    """Whether mounts below ``/`` are passed on to other mount namespaces (``mount --make-rshared /``)."""

    def load(self, probe: Probe) -> bool | Unknown:
        return parse_root_shared(probe.read("/proc/self/mountinfo").decode())


def parse_root_shared(mountinfo: str) -> bool:
    """/proc/self/mountinfo: the optional field ``shared:N`` of what is mounted last at ``/``."""
    rows = (line.partition(" - ")[0].split(" ") for line in mountinfo.splitlines())
    root = [row for row in rows if len(row) > 5 and row[4] == "/"]
    return bool(root) and any(field.startswith("shared:") for field in root[-1][6:])


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk: ``kind`` ssd, rotating, sd-card, usb, virtual or unknown. What a virtual machine says of
    rotation means nothing, so its disks are virtual where their driver shows it.
    """

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class DiskUnder:
    """The disk a path lies or would lie on; of several, the first."""

    path: str

    def load(self, probe: Probe) -> Disk | Unknown:
        at = landing(probe, self.path)
        found = probe.stat(at)
        if found is None:
            return Unknown(f"{at} is gone")
        entry = f"/sys/dev/block/{os.major(found.device)}:{os.minor(found.device)}"
        if probe.stat(entry) is None:
            # btrfs, zfs and overlays have numbers of their own; the mount names its device, or a pool.
            mount = mount_above(probe.read("/proc/self/mountinfo").decode(), at)
            name = posixpath.basename(mount.what) if mount is not None and mount.what.startswith("/dev/") else ""
            entry = f"/sys/class/block/{name}"
            if not name or probe.stat(entry) is None:
                return Unknown(f"the disk below {at} cannot be told")
        return _disk(probe, probe.readlink(entry))


def _disk(probe: Probe, place: str) -> Disk:
    """``place``: the device's directory below /sys/devices, as a link tells it."""
    name = posixpath.basename(place)
    slaves = probe.listdir(f"/sys/class/block/{name}/slaves")
    if slaves:
        return _disk(probe, probe.readlink(f"/sys/class/block/{slaves[0]}"))
    parent = posixpath.basename(posixpath.dirname(place))
    whole = name if parent == "block" else parent
    return Disk(whole, disk_kind(whole, place, text_of(probe, f"/sys/class/block/{whole}/queue/rotational")))


def disk_kind(name: str, place: str, rotational: str) -> str:
    """By the driver's name for it, the bus on its way, and what it says of itself."""
    if name.startswith(("vd", "xvd")) or "/virtio" in place:
        return "virtual"
    if name.startswith("mmcblk"):
        return "sd-card"
    if re.search(r"/usb\d", place):
        return "usb"
    return {"0": "ssd", "1": "rotating"}.get(rotational, "unknown")


def latency_note(cache: str) -> str:
    """Where a measurement of the disk is noted, which only somebody who asks for it makes."""
    return f"{cache}/measured/fsync.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds until a small write is durable: the median and the 99th percentile of ``count`` writes.

    ``device``: number of the file system it was measured on.
    """

    device: int
    count: int
    median: float
    p99: float


@dataclass(frozen=True, slots=True)
class SyncLatency:
    """What the last measurement of the disk found, None when nobody has measured."""

    cache: str

    def load(self, probe: Probe) -> Measured | Unknown | None:
        note = latency_note(self.cache)
        if probe.stat(note) is None:
            return None
        return parse_measured(probe.read(note).decode(errors="replace")) or Unknown(f"{note} is not a measurement")


def parse_measured(text: str) -> Measured | None:
    """The note of a measurement, seconds in it; None when it is none."""
    try:
        row = json.loads(text)
        times = (round(float(row[name]) * 1000, 2) for name in ("median", "p99"))
        return Measured(int(row["device"]), int(row["count"]), *times)
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class SwapSpace:
    """One swap space: path, ``kind`` (zram, partition, file) and size in bytes."""

    path: str
    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class SwapSpaces:
    """Every swap space in use."""

    def load(self, probe: Probe) -> tuple[SwapSpace, ...] | Unknown:
        return parse_swaps(text_of(probe, "/proc/swaps"))


def parse_swaps(text: str) -> tuple[SwapSpace, ...]:
    """/proc/swaps: file name, type, size in KiB."""
    rows = (line.split() for line in text.splitlines()[1:])
    return tuple(
        SwapSpace(row[0], "zram" if row[0].startswith("/dev/zram") else row[1], int(row[2]) * 1024)
        for row in rows
        if len(row) > 2
    )


@dataclass(frozen=True, slots=True)
class ZfsVersion:
    """The version of the loaded ZFS module (``2.2.3-1``), "" without one."""

    def load(self, probe: Probe) -> str | Unknown:
        return text_of(probe, "/sys/module/zfs/version")
