"""What this machine runs in: a hypervisor, a container, Windows; and what a container does not allow.

Everything is read from files. ``systemd-detect-virt`` would be one more process to wait for, and knows
neither Proxmox from Incus nor what is locked.
"""

from __future__ import annotations

import errno
import re
import stat as _stat
from dataclasses import dataclass

from installers.core.facts.kernel import sysctl_path
from installers.core.facts.mounts import mount_above
from installers.core.model import Probe, Unknown

DMI = (
    ("QEMU", "kvm"),
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("Google Compute Engine", "google"),
    ("Amazon EC2", "amazon"),
    ("VMware", "vmware"),
    ("VirtualBox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("Parallels", "parallels"),
    ("Apple Virtualization", "apple"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Virtual Machine", "microsoft"),
)
"""Words of firmware tables and the hypervisor they tell, as systemd-detect-virt(1) calls it."""


BOARD = "linux,dummy-virt"
"""The model in a device tree made for a virtual machine, QEMU's and others'."""


@dataclass(frozen=True, slots=True)
class Virtual:
    """``machine``: the hypervisor below the kernel, "" for none seen. ``container``: its kind (lxc, docker,
    podman, wsl, systemd-nspawn...), "" for none. ``manager``: who runs an lxc one: proxmox, incus or "".
    """

    machine: str = ""
    container: str = ""
    manager: str = ""


@dataclass(frozen=True, slots=True)
class Virtualisation:
    """What is around this system. In a container the firmware's tables are those of the computer around it."""

    def load(self, probe: Probe) -> Virtual | Unknown:
        release = text_of(probe, "/proc/sys/kernel/osrelease")
        container = "wsl" if wsl_version(release, _wsl_traces(probe)) else _container(probe)
        manager = ""
        if container == "lxc":
            if probe.stat("/dev/incus") is not None or probe.stat("/dev/lxd") is not None:
                manager = "incus"
            elif release.endswith("-pve"):
                manager = "proxmox"
        return Virtual(_machine(probe), container, manager)


def _container(probe: Probe) -> str:
    if said := text_of(probe, "/run/systemd/container") or text_of(probe, "/run/host/container-manager"):
        return said
    for path, kind in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman")):
        if probe.stat(path) is not None:
            return kind
    try:
        return parse_environ(probe.read("/proc/1/environ")).get("container", "")
    except OSError:
        # Only root may read it; the files above are what everybody sees.
        return ""


def parse_environ(content: bytes) -> dict[str, str]:
    """/proc/PID/environ: assignments, each ended by a zero byte."""
    rows = (row.partition("=") for row in content.decode(errors="replace").split("\0") if "=" in row)
    return {name: value for name, _, value in rows}


def _machine(probe: Probe) -> str:
    if kind := text_of(probe, "/sys/hypervisor/type"):
        return kind
    names = ("product_name", "sys_vendor", "board_vendor", "bios_vendor")
    firmware = [text_of(probe, f"/sys/class/dmi/id/{name}") for name in names]
    if (found := parse_firmware(*firmware)) is not None:
        return found
    # Started without firmware, as arm64 guests may be: the device tree is QEMU's, whose board is called virt.
    if BOARD in text_of(probe, "/proc/device-tree/model"):
        return "kvm"
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", text_of(probe, "/proc/cpuinfo"), re.MULTILINE)
    return "unknown hypervisor" if flags else ""


def parse_firmware(product: str, *vendors: str) -> str | None:
    """The hypervisor that firmware names, None for none. Amazon's bare computers call themselves ``metal``."""
    if "metal" in product:
        return ""
    return next((kind for word, kind in DMI if any(word in text for text in (product, *vendors))), None)


@dataclass(frozen=True, slots=True)
class Wsl:
    """``version`` 1 or 2; ``settings`` of /etc/wsl.conf as (``section.key``, value), keys in lower case."""

    version: int
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class WslState:
    """The Windows Subsystem for Linux we are in, None elsewhere."""

    def load(self, probe: Probe) -> Wsl | Unknown | None:
        version = wsl_version(text_of(probe, "/proc/sys/kernel/osrelease"), _wsl_traces(probe))
        return Wsl(version, parse_wsl_conf(text_of(probe, "/etc/wsl.conf"))) if version else None


def wsl_version(release: str, traces: bool) -> int:
    """By the kernel's name: ``4.4.0-19041-Microsoft`` is 1, ``…-microsoft-standard-WSL2`` is 2; 0 for neither.

    ``traces``: what Windows leaves in the file system; a kernel of one's own keeps no such name.
    """
    if "Microsoft" in release:
        return 1
    return 2 if "microsoft" in release or "WSL2" in release or traces else 0


def _wsl_traces(probe: Probe) -> bool:
    return any(probe.stat(path) is not None for path in ("/run/WSL", "/proc/sys/fs/binfmt_misc/WSLInterop"))


def parse_wsl_conf(text: str) -> tuple[tuple[str, str], ...]:
    """/etc/wsl.conf: ``[section]`` and ``key = value``; what is no such line Windows skips, and so do we."""
    found: dict[str, str] = {}
    section = ""
    for line in (raw.strip() for raw in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().lower()
        elif "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            found[f"{section}.{name.strip().lower()}"] = value.strip().strip('"')
    return tuple(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Limits:
    """``user_namespace``: root here is somebody else outside. ``profile``: the AppArmor profile we run under,
    "" without AppArmor.
    """

    user_namespace: bool
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Confines:
    """What root may not do here because it is not the computer's root."""

    def load(self, probe: Probe) -> Limits | Unknown:
        mapped = own_ids(probe)
        try:
            profile = text_of(probe, "/proc/self/attr/apparmor/current")
        except OSError as error:
            # A kernel that has AppArmor, and it is off: the file is there, and cannot be read.
            if error.errno != errno.EINVAL:
                raise
            profile = ""
        return Limits(not mapped, profile.rpartition(" (")[0] or profile)


def own_ids(probe: Probe) -> bool:
    """Whether root here is the computer's root: a kernel without user namespaces has no other."""
    path = "/proc/self/uid_map"
    return probe.stat(path) is None or parse_uid_map(probe.read(path).decode())


def parse_uid_map(text: str) -> bool:
    """Whether all ids are the computer's own (``0 0 4294967295``)."""
    return text.split() == ["0", "0", "4294967295"]


@dataclass(frozen=True, slots=True)
class SysctlWritable:
    """Whether root may set a kernel parameter here, None where the kernel has none of that name.

    Asked without trying: the kernel takes the write bit from a parameter that belongs to another namespace,
    and container managers mount /proc/sys read-only.
    """

    key: str

    def load(self, probe: Probe) -> bool | Unknown | None:
        path = sysctl_path(self.key)
        found = probe.stat(path)
        if found is None:
            return None
        mount = mount_above(probe.read("/proc/self/mountinfo").decode(), path)
        read_only = mount is not None and "ro" in mount.options
        ours = self.key.startswith("net.") or own_ids(probe)
        return bool(found.mode & _stat.S_IWUSR) and not read_only and ours


@dataclass(frozen=True, slots=True)
class KernelMessages:
    """/dev/kmsg: ``there``, ``missing``, ``forbidden`` (another user's kernel log), or where a link leads to.

    Never opened: a read of it waits for the kernel's next message.
    """

    def load(self, probe: Probe) -> str | Unknown:
        found = probe.stat("/dev/kmsg")
        if found is None:
            return "missing"
        if found.is_link:
            return probe.readlink("/dev/kmsg")
        mapped = own_ids(probe)
        restricted = text_of(probe, "/proc/sys/kernel/dmesg_restrict") == "1"
        return "forbidden" if restricted and not mapped else "there"


def text_of(probe: Probe, path: str) -> str:
    """A small file's text without blanks around it, "" where there is none."""
    return probe.read(path).decode(errors="replace").strip() if probe.stat(path) is not None else ""
