"""Whether data can lie where it would: file systems, their options, disks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.conditions import Room
from installers.core.facts.storage import DiskUnder, FileSystem, SyncLatency, ZfsVersion
from installers.core.facts.virtual import Virtualisation
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, NotRun, Passed, Severity, Verdict
from installers.site import PROGRAM

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "drvfs", "ceph", "glusterfs", "sshfs", "fuse.sshfs", "afs"})
FOREIGN = frozenset(
    {"vfat", "exfat", "ntfs", "ntfs3", "fuseblk", "ecryptfs", "hfsplus", "overlay", "squashfs", "iso9660"}
)
PASSING = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class DataFileSystem(BaseCheck):
    """State lies on a file system that containers and databases can use, and that is there after a reboot."""

    state: str

    id: ClassVar[str] = "file-system"
    title: ClassVar[str] = "File system for data"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (FileSystem(self.state), ZfsVersion())

    def judge(self, facts: Facts) -> Verdict:
        found = facts[FileSystem(self.state)]
        fields = {"path": self.state, "where": found.where, "type": found.type}
        if found.type in NETWORK:
            return Failed("OLR-PRE-042", {**fields, "reason": "which lies across a network or in another system"})
        if found.type in FOREIGN or found.type.startswith("fuse."):
            return Failed(
                "OLR-PRE-042", {**fields, "reason": "on which containers' files cannot be laid over each other"}
            )
        if found.type in PASSING:
            reason = "which is memory and empty after a reboot"
            return Failed("OLR-PRE-042", {**fields, "reason": reason}, severity="warning")
        if found.type == "zfs":
            version = facts[ZfsVersion()]
            number = re.match(r"(\d+)\.(\d+)", version)
            if number is not None and (int(number[1]), int(number[2])) < (2, 2):
                return Failed("OLR-PRE-043", {"path": self.state, "version": version})
        return Passed(f"{found.type} at {found.where}")


OFTEN_LOCKED = ("/var/lib", "/tmp")  # noqa: S108 - read about, nothing is written there
"""Where hardened systems forbid programs, and some installers and pods run theirs."""


@dataclass(frozen=True, slots=True)
class Executable(BaseCheck):
    """Programs may be run where containers and this program lie."""

    state: str

    id: ClassVar[str] = "noexec"
    title: ClassVar[str] = "Programs may run"

    def needs(self) -> tuple[Fact[Any], ...]:
        return tuple(map(FileSystem, dict.fromkeys((self.state, PROGRAM, *OFTEN_LOCKED))))

    def judge(self, facts: Facts) -> Verdict:
        locked = [fact.path for fact in map(FileSystem, (self.state, PROGRAM)) if "noexec" in facts[fact].options]
        minor = [fact.path for fact in map(FileSystem, OFTEN_LOCKED) if "noexec" in facts[fact].options]
        if not locked and not minor:
            return Passed("nothing is mounted noexec")
        place = facts[FileSystem((locked or minor)[0])].where
        fields = {"paths": ", ".join(dict.fromkeys((*locked, *minor))), "place": place}
        return Failed("OLR-PRE-044", fields, severity=None if locked else "warning")


@dataclass(frozen=True, slots=True)
class FastDisk(BaseCheck):
    """The disk answers writes soon enough for a database that waits for each."""

    state: str

    id: ClassVar[str] = "disk-kind"
    title: ClassVar[str] = "Kind of disk"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (DiskUnder(self.state), Virtualisation())

    def judge(self, facts: Facts) -> Verdict:
        disk = facts[DiskUnder(self.state)]
        fields = {"path": self.state, "name": disk.name}
        if disk.kind == "sd-card":
            return Failed("OLR-PRE-045", {**fields, "kind": "an SD card or soldered flash"})
        if disk.kind == "usb":
            return Failed("OLR-PRE-045", {**fields, "kind": "behind USB"}, severity="info")
        # A hypervisor calls most of its disks rotating, whatever is below.
        if disk.kind == "rotating" and not facts[Virtualisation()].machine:
            return Failed("OLR-PRE-045", {**fields, "kind": "a rotating disk"}, severity="info")
        return Passed(f"{disk.name}, {disk.kind if disk.kind != 'rotating' else 'virtual'}")


SLOW = 10.0
"""Milliseconds: etcd's documentation wants the 99th percentile of its log's fdatasync below this."""


@dataclass(frozen=True, slots=True)
class QuickSync(BaseCheck):
    """The disk makes small writes durable as soon as etcd needs it. Only a measurement tells, and it writes."""

    state: str
    cache: str

    id: ClassVar[str] = "disk-latency"
    title: ClassVar[str] = "Latency of the disk"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (SyncLatency(self.cache), Room(self.state))

    def judge(self, facts: Facts) -> Verdict:
        found = facts[SyncLatency(self.cache)]
        if found is None:
            return NotRun("it is measured only when asked for: olares-cli precheck --measure-disk")
        if found.device != facts[Room(self.state)].device:
            return NotRun("it was measured on another file system: olares-cli precheck --measure-disk")
        said = f"{found.p99:g} ms for 99 of 100 writes, {found.median:g} ms for half of {found.count}"
        if found.p99 >= SLOW:
            return Failed("OLR-PRE-081", {"path": self.state, "said": said})
        return Passed(said)
