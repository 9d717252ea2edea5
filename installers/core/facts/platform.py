"""The machine: distribution, kernel limits, memory, addresses, ports, and who was here before us."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
import xml.parsers.expat
from dataclasses import dataclass

from installers.core.facts.mounts import parse_mountinfo
from installers.core.facts.virtual import own_ids
from installers.core.model import Probe, Query, Unknown

CAP_SYS_RESOURCE = 24


@dataclass(frozen=True, slots=True)
class Release:
    """``id``: debian, ubuntu, raspbian...; ``version``: VERSION_ID, "" for a rolling one; ``family``: the
    nearest of debian, rhel, suse, arch, alpine, else ``id``.
    """

    id: str
    version: str
    family: str
    codename: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """For people. Debian's testing has no version, only a code name."""
        return f"{self.name or self.id} {self.version or self.codename}".strip()


@dataclass(frozen=True, slots=True)
class OsRelease:
    """The distribution, from os-release."""

    def load(self, probe: Probe) -> Release | Unknown:
        for path in ("/etc/os-release", "/usr/lib/os-release"):
            try:
                return parse_os_release(probe.read(path).decode())
            except FileNotFoundError:
                continue
        return Unknown("there is no os-release file")


SYSTEM_VERSION = "/System/Library/CoreServices/SystemVersion.plist"
"""What Apple keeps of a system's version, a property list."""


@dataclass(frozen=True, slots=True)
class MacosVersion:
    """The version of macOS this is, "" when it does not say; None on every other system."""

    def load(self, probe: Probe) -> str | Unknown | None:
        if probe.stat("/proc/sys/kernel/osrelease") is not None or probe.stat(SYSTEM_VERSION) is None:
            return None
        return parse_system_version(probe.read(SYSTEM_VERSION))


def parse_system_version(content: bytes) -> str:
    """SystemVersion.plist: ProductVersion, "" when it is not in there."""
    import plistlib

    try:
        found = plistlib.loads(content)
    except (plistlib.InvalidFileException, ValueError, xml.parsers.expat.ExpatError):
        return ""
    return str(found.get("ProductVersion", "")) if isinstance(found, dict) else ""


@dataclass(frozen=True, slots=True)
class Cgroups:
    """``mode``: v1, v2 or hybrid (v1 controllers beside a v2 tree); ``controllers`` that are usable, sorted."""

    mode: str
    controllers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CgroupMode:
    """How control groups are mounted."""

    def load(self, probe: Probe) -> Cgroups | Unknown:
        return cgroups(probe)


def cgroups(probe: Probe) -> Cgroups | Unknown:
    controllers = ""
    if probe.stat("/sys/fs/cgroup/cgroup.controllers") is not None:
        controllers = probe.read("/sys/fs/cgroup/cgroup.controllers").decode()
    found = parse_cgroups(probe.read("/proc/self/mountinfo").decode(), controllers)
    return found or Unknown("no control groups are mounted")


@dataclass(frozen=True, slots=True)
class MayLowerOomScore:
    """Whether containers may be given a lower OOM score than ours: CAP_SYS_RESOURCE, and that as the computer's
    own root, since the kernel asks for it outside any user namespace (proc_pid_oom_score_adj(5)).
    """

    def load(self, probe: Probe) -> bool | Unknown:
        if not own_ids(probe):
            return False
        return parse_bounding_set(probe.read("/proc/self/status").decode(), CAP_SYS_RESOURCE)


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes."""

    def load(self, probe: Probe) -> int | Unknown:
        return parse_meminfo(probe.read("/proc/meminfo").decode())


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processors online."""

    def load(self, probe: Probe) -> int | Unknown:
        return count_cpus(probe.read("/sys/devices/system/cpu/online").decode())


@dataclass(frozen=True, slots=True)
class Architecture:
    """The machine's architecture in Debian's and Go's common names: amd64, arm64; else the kernel's own."""

    def load(self, probe: Probe) -> str | Unknown:
        machine = probe.read("/proc/sys/kernel/arch").decode().strip()
        return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


@dataclass(frozen=True, slots=True)
class DiskFree:
    """Bytes free where a path lies or would lie."""

    path: str

    def load(self, probe: Probe) -> int | Unknown:
        return probe.free_bytes(self.path)


@dataclass(frozen=True, slots=True)
class SystemdRunning:
    """Whether systemd is process 1 (sd_booted(3))."""

    def load(self, probe: Probe) -> bool | Unknown:
        return probe.stat("/run/systemd/system") is not None and _comm(probe, 1) == "systemd"


@dataclass(frozen=True, slots=True)
class IsRoot:
    """Whether we act with root's user id."""

    def load(self, probe: Probe) -> bool | Unknown:
        match = re.search(r"^Uid:\s+\d+\s+(\d+)", probe.read("/proc/self/status").decode(), re.MULTILINE)
        return match is not None and match[1] == "0"


@dataclass(frozen=True, slots=True)
class Hostname:
    """The host's present name."""

    def load(self, probe: Probe) -> str | Unknown:
        return probe.read("/proc/sys/kernel/hostname").decode().strip()


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens on a port: process name and id, "" and 0 when it is hidden from us. ``address``: as bound."""

    process: str
    pid: int
    address: str


@dataclass(frozen=True, slots=True)
class PortOwner:
    """Who listens on a TCP port on any address, None when nobody does."""

    port: int

    def load(self, probe: Probe) -> Listener | Unknown | None:
        for path in ("/proc/net/tcp", "/proc/net/tcp6"):
            if probe.stat(path) is None:
                continue
            for address, port, inode in parse_listening(probe.read(path).decode()):
                if port == self.port:
                    pid = _holder(probe, inode)
                    return Listener(_comm(probe, pid) if pid else "", pid, address)
        return None


@dataclass(frozen=True, slots=True)
class FormerRuntimes:
    """Container runtimes and clusters whose traces are here, in a fixed order: ``name (evidence)``."""

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        return tuple(f"{name} ({path})" for name, path in TRACES if probe.stat(path) is not None)


TRACES = (
    ("K3s", "/usr/local/bin/k3s"),
    ("K3s", "/etc/rancher/k3s"),
    ("K3s", "/var/lib/rancher/k3s"),
    ("RKE2", "/etc/rancher/rke2"),
    ("RKE2", "/usr/local/bin/rke2"),
    ("RKE2", "/var/lib/rancher/rke2"),
    ("MicroK8s", "/var/snap/microk8s"),
    ("k0s", "/etc/k0s"),
    ("k0s", "/usr/local/bin/k0s"),
    ("k0s", "/var/lib/k0s"),
    ("minikube", "/var/lib/minikube"),
    ("Kubernetes", "/etc/kubernetes/kubelet.conf"),
    ("Kubernetes", "/etc/kubernetes/manifests/kube-apiserver.yaml"),
    ("Docker", "/usr/bin/dockerd"),
    ("Docker", "/run/docker.sock"),
    ("Docker", "/var/snap/docker"),
    ("Docker Desktop", "/opt/docker-desktop"),
    ("Docker Desktop", "/mnt/wsl/docker-desktop"),
    ("CRI-O", "/usr/bin/crio"),
    ("containerd", "/usr/bin/containerd"),
    ("containerd", "/usr/local/bin/containerd"),
)
"""What a runtime that was here before leaves to see. Whose it is, ours or not, the journal tells.

Podman is not among them: it keeps its images and networks apart and has no service of its own.
"""


def parse_os_release(text: str) -> Release:
    """os-release(5): shell-like assignments."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            fields[name] = " ".join(shlex.split(value))
    id = fields.get("ID", "linux")
    like = (id, *fields.get("ID_LIKE", "").split())
    known = ("debian", "rhel", "fedora", "suse", "arch", "alpine")
    family = next((one for one in like if one in known), id)
    family = "rhel" if family == "fedora" else family
    return Release(id, fields.get("VERSION_ID", ""), family, fields.get("VERSION_CODENAME", ""), fields.get("NAME", ""))


def parse_cgroups(mountinfo: str, controllers: str) -> Cgroups | None:
    """The mode and what may be limited: v1 by its mounts, v2 by its root's cgroup.controllers."""
    mounts = parse_mountinfo(mountinfo)
    named = {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "perf_event"}
    v1 = {option for mount in mounts if mount.type == "cgroup" for option in mount.options} & named
    v2 = any(mount.type == "cgroup2" for mount in mounts)
    if not v1:
        return Cgroups("v2", tuple(sorted(controllers.split()))) if v2 else None
    return Cgroups("hybrid" if v2 else "v1", tuple(sorted(v1 | set(controllers.split()))))


def parse_bounding_set(status: str, capability: int) -> bool | Unknown:
    """/proc/self/status: whether a capability is in the bounding set."""
    match = re.search(r"^CapBnd:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(match[1], 16) >> capability & 1) if match else Unknown("the kernel does not say CapBnd")


def parse_meminfo(text: str) -> int | Unknown:
    match = re.search(r"^MemTotal:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else Unknown("the kernel does not say MemTotal")


def count_cpus(text: str) -> int:
    """A list such as ``0-3,8``."""
    count = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count


LISTEN = "0A"


def parse_listening(text: str) -> tuple[tuple[str, int, int], ...]:
    """/proc/net/tcp or tcp6: (address, port, inode) of sockets that listen."""
    found: list[tuple[str, int, int]] = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            address, _, port = fields[1].partition(":")
            found.append((_address(address), int(port, 16), int(fields[9])))
    return tuple(found)


def _address(words: str) -> str:
    """The kernel prints an address as 32-bit words in the machine's byte order, which here is little-endian."""
    raw = bytes.fromhex(words)
    swapped = b"".join(raw[place : place + 4][::-1] for place in range(0, len(raw), 4))
    return str(ipaddress.ip_address(swapped))


def _holder(probe: Probe, inode: int) -> int:
    """The process that holds a socket; 0 when it is not ours to see."""
    wanted = f"socket:[{inode}]"
    for pid in probe.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            for number in probe.listdir(f"/proc/{pid}/fd"):
                if probe.readlink(f"/proc/{pid}/fd/{number}") == wanted:
                    return int(pid)
        except OSError:
            # Processes and their descriptors come and go while we look.
            continue
    return 0


def _comm(probe: Probe, pid: int) -> str:
    try:
        return probe.read(f"/proc/{pid}/comm").decode(errors="replace").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class DefaultAddress:
    """This machine's IPv4 address on the network of its default route, None without such a route."""

    def load(self, probe: Probe) -> str | Unknown | None:
        link = default_link(probe.read("/proc/net/route").decode())
        if link is None:
            return None
        answer = probe.query(Query("ip", ("-j", "addr", "show")))
        if answer.code:
            return Unknown(f"ip does not answer: {answer.stderr.strip()[:200]}")
        return parse_address(answer.stdout, link)


def default_link(text: str) -> str | None:
    """/proc/net/route: the link of the default route with the lowest metric."""
    routes: list[tuple[int, str]] = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == fields[7] == "00000000":
            routes.append((int(fields[6]), fields[0]))
    return min(routes)[1] if routes else None


def parse_address(text: str, link: str) -> str | None:
    """``ip -j addr show``: the first global IPv4 address of a link."""
    for row in json.loads(text or "[]"):
        if row.get("ifname") == link:
            for address in row.get("addr_info", ()):
                if address.get("family") == "inet" and address.get("scope") == "global":
                    return str(address["local"])
    return None
