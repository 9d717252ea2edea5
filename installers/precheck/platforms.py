"""What is particular to some computers: containers, Windows, Proxmox VE, Raspberry Pi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.boards import PageSize, ProxmoxVersion, RaspberryPi, Userland
from installers.core.facts.conditions import AptSources, EntryNames
from installers.core.facts.kernel import SysctlValue
from installers.core.facts.platform import CgroupMode, MayLowerOomScore, SystemdRunning
from installers.core.facts.storage import RootShared
from installers.core.facts.virtual import Confines, KernelMessages, SysctlWritable, Virtualisation, WslState
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, Passed, Severity, Verdict

APPLICATION = ("docker", "podman", "oci", "rkt")
"""Kinds of containers made for one program; others hold a whole system."""


@dataclass(frozen=True, slots=True)
class Surroundings(BaseCheck):
    """What this system runs in is said; a container for one application is no place for it."""

    id: ClassVar[str] = "virtualisation"
    title: ClassVar[str] = "Virtualisation"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Virtualisation(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[Virtualisation()]
        if found.container in APPLICATION:
            return Failed("OLR-PRE-027", {"kind": found.container})
        inside = f"a {found.container} container{f' of {found.manager}' if found.manager else ''}"
        machine = f"a virtual machine ({found.machine})" if found.machine else "no hypervisor seen"
        return Passed(f"{inside}; {machine}" if found.container else machine)


@dataclass(frozen=True, slots=True)
class Windows(BaseCheck):
    """WSL is of version 2 and starts systemd."""

    id: ClassVar[str] = "wsl"
    title: ClassVar[str] = "Windows Subsystem for Linux"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (WslState(), SystemdRunning())

    def judge(self, facts: Facts) -> Verdict:
        found = facts[WslState()]
        if found is None:
            return Passed("this is not WSL", concerns=False)
        if found.version == 1:
            return Failed("OLR-PRE-028", {})
        if not facts[SystemdRunning()]:
            said = dict(found.settings).get("boot.systemd", "not set")
            return Failed("OLR-PRE-029", {"said": said})
        return Passed("WSL 2 with systemd")


@dataclass(frozen=True, slots=True)
class WindowsLife(BaseCheck):
    """What WSL does by itself is said: it ends when nobody looks, and writes name servers and hosts anew."""

    id: ClassVar[str] = "wsl-life"
    title: ClassVar[str] = "WSL's own ways"
    severity: ClassVar[Severity] = "info"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (WslState(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[WslState()]
        if found is None:
            return Passed("this is not WSL", concerns=False)
        settings = dict(found.settings)
        written = [
            file
            for file, key in (
                ("/etc/resolv.conf", "network.generateresolvconf"),
                ("/etc/hosts", "network.generatehosts"),
            )
            if settings.get(key, "true").lower() != "false"
        ]
        return Failed("OLR-PRE-030", {"written": ", ".join(written) or "no file"})


SETTINGS: Mapping[str, str] = {
    "proxmox": "on the Proxmox host, with this container's number for ID (`pct list`): an unprivileged one is restored "
    "from its backup (`vzdump ID --mode stop`, `pct restore NEW FILE --unprivileged 0`); then "
    "`pct set ID --features nesting=1,keyctl=1,fuse=1 --swap 0`, and in /etc/pve/lxc/ID.conf the lines "
    "`lxc.apparmor.profile: unconfined`, `lxc.cap.drop:`, `lxc.cgroup2.devices.allow: a`, "
    "`lxc.mount.auto: proc:rw sys:rw`, `lxc.mount.entry: /dev/kmsg dev/kmsg none bind,create=file`, "
    "`lxc.mount.entry: /lib/modules lib/modules none ro,bind,create=dir`; then `pct reboot ID`",
    "incus": "on the host: `incus config set NAME security.nesting=true security.privileged=true` and raw.lxc with "
    "`lxc.apparmor.profile=unconfined`, `lxc.cap.drop=`, `lxc.cgroup2.devices.allow=a`, "
    "`lxc.mount.auto=proc:rw sys:rw`; then `incus restart NAME`",
    "": "in the container's configuration on its host: no `lxc.idmap`, `lxc.apparmor.profile = unconfined`, "
    "`lxc.cap.drop =`, `lxc.cgroup2.devices.allow = a`, `lxc.mount.auto = proc:rw sys:rw`; then start it again",
}
"""What an LXC container needs to be a node, by who manages it. Proxmox's and Incus' documented keys."""


@dataclass(frozen=True, slots=True)
class LinuxContainer(BaseCheck):
    """An LXC container may do what a node has to: mount, make devices, set its limits."""

    id: ClassVar[str] = "lxc"
    title: ClassVar[str] = "LXC container"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Virtualisation(), Confines())

    def judge(self, facts: Facts) -> Verdict:
        around = facts[Virtualisation()]
        if around.container != "lxc":
            return Passed("this is none", concerns=False)
        limits = facts[Confines()]
        if limits.user_namespace:
            return Failed("OLR-PRE-031", {"settings": SETTINGS[around.manager]})
        if limits.profile not in ("", "unconfined"):
            fields = {"profile": limits.profile, "settings": SETTINGS[around.manager]}
            return Failed("OLR-PRE-032", fields, severity="warning")
        return Passed("privileged and not confined by AppArmor")


HOST_KEYS = ("net.netfilter.nf_conntrack_max", "fs.inotify.max_user_instances")
"""Parameters kube-proxy and many containers want raised, and that a container often may not set."""


@dataclass(frozen=True, slots=True)
class OuterLimits(BaseCheck):
    """What only the computer around a container can set is said; services here are set up to do without."""

    id: ClassVar[str] = "outer-limits"
    title: ClassVar[str] = "Limits of the computer around"
    severity: ClassVar[Severity] = "info"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (*map(SysctlWritable, HOST_KEYS), MayLowerOomScore())

    def judge(self, facts: Facts) -> Verdict:
        locked = [key for key in HOST_KEYS if facts[SysctlWritable(key)] is False]
        if not facts[MayLowerOomScore()]:
            locked.append("oom_score_adj below 0")
        return Failed("OLR-PRE-033", {"locked": ", ".join(locked)}) if locked else Passed("everything can be set here")


KUBELET_KEYS = (
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.keys.root_maxbytes", "25000000"),
)
"""Parameters the kubelet sets at its start, and ends when it may not. In a machine of ours it writes files of the
machine's own that are mounted over them.
"""


@dataclass(frozen=True, slots=True)
class KubeletSettings(BaseCheck):
    """The kubelet can set the kernel parameters it insists on, or they are set already."""

    id: ClassVar[str] = "kubelet-settings"
    title: ClassVar[str] = "Kernel parameters of the kubelet"

    def needs(self) -> tuple[Fact[Any], ...]:
        return tuple(fact for key, _ in KUBELET_KEYS for fact in (SysctlValue(key), SysctlWritable(key)))

    def judge(self, facts: Facts) -> Verdict:
        locked = [
            f"{key}={wanted}"
            for key, wanted in KUBELET_KEYS
            if facts[SysctlWritable(key)] is False and facts[SysctlValue(key)] != wanted
        ]
        return Failed("OLR-PRE-074", {"settings": " ".join(locked)}) if locked else Passed("set, or can be set")


@dataclass(frozen=True, slots=True)
class KernelLog(BaseCheck):
    """The kubelet can follow the kernel's messages; it does not start without."""

    id: ClassVar[str] = "kernel-log"
    title: ClassVar[str] = "Kernel messages"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (KernelMessages(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[KernelMessages()]
        if found == "missing":
            how = "nothing: the install makes it a link to /dev/console, now and at each start"
            return Failed("OLR-PRE-034", {"state": "missing", "how": how}, severity="info")
        if found == "forbidden":
            how = "let a privileged container be a node: its root may read the kernel's messages"
            return Failed("OLR-PRE-034", {"state": "not ours to read", "how": how})
        return Passed("/dev/kmsg is there" if found == "there" else f"/dev/kmsg leads to {found}")


@dataclass(frozen=True, slots=True)
class SharedMounts(BaseCheck):
    """Mounts made on the host reach pods that ask for it, and theirs the host."""

    id: ClassVar[str] = "shared-mounts"
    title: ClassVar[str] = "Shared mounts"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (RootShared(), Virtualisation())

    def judge(self, facts: Facts) -> Verdict:
        if facts[RootShared()]:
            return Passed("/ is shared")
        wsl = facts[Virtualisation()].container == "wsl"
        how = (
            "nothing: the install shares them by a unit; WSL 2.0.0 and later does so itself (in Windows `wsl --update`)"
            if wsl
            else "nothing: the install shares them by a unit, now and at each start"
        )
        return Failed("OLR-PRE-035", {"how": how}, severity="info")


@dataclass(frozen=True, slots=True)
class Hypervisor(BaseCheck):
    """Installing beside the guests of a Proxmox VE host is said to be what it is."""

    id: ClassVar[str] = "proxmox"
    title: ClassVar[str] = "Proxmox VE host"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ProxmoxVersion(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[ProxmoxVersion()]
        if found is None:
            return Passed("this is none", concerns=False)
        return Failed("OLR-PRE-036", {"version": found or "(unknown)"})


PAID = frozenset({"pve-enterprise", "enterprise"})
"""Components of repositories that answer 401 without a subscription; ``enterprise`` is Ceph's."""

LOGINS = EntryNames("/etc/apt/auth.conf.d", "pve")
"""Where Proxmox keeps the login that comes with a subscription."""


@dataclass(frozen=True, slots=True)
class PaidSources(BaseCheck):
    """No package source asks for a subscription that is not there: it would make every update of lists fail."""

    id: ClassVar[str] = "proxmox-sources"
    title: ClassVar[str] = "Proxmox package sources"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (AptSources(), LOGINS)

    def judge(self, facts: Facts) -> Verdict:
        paid = [source for source in facts[AptSources()] if PAID & set(source.components)]
        if not paid:
            return Passed("none that needs a subscription")
        if facts[LOGINS]:
            return Passed("with the login of a subscription")
        files = list(dict.fromkeys(source.file for source in paid))
        how = "put `Enabled: no` into its stanza" if files[0].endswith(".sources") else "put `#` before its `deb` line"
        return Failed("OLR-PRE-037", {"files": ", ".join(files), "file": files[0], "how": how})


@dataclass(frozen=True, slots=True)
class MemoryOnPi(BaseCheck):
    """A Raspberry Pi's firmware switches control groups for memory off; they are on again."""

    id: ClassVar[str] = "raspberry-pi"
    title: ClassVar[str] = "Raspberry Pi"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (RaspberryPi(), CgroupMode())

    def judge(self, facts: Facts) -> Verdict:
        found = facts[RaspberryPi()]
        if found is None:
            return Passed("this is none", concerns=False)
        if "memory" in facts[CgroupMode()].controllers:
            return Passed(f"{found.model}, control groups for memory are on")
        words = [word for word in ("cgroup_memory=1", "cgroup_enable=memory") if word not in found.words]
        if found.cmdline and not words:
            return Failed("OLR-PRE-039", {"file": found.cmdline})
        missing = " ".join(words)
        if not found.cmdline:
            how = f"append `{missing}` to the single line of the firmware's cmdline.txt, then reboot"
            return Failed("OLR-PRE-038", {"how": how})
        how = f"nothing: the install adds `{missing}` to the line in {found.cmdline}, and asks for a restart"
        return Failed("OLR-PRE-038", {"how": how}, severity="warning")


@dataclass(frozen=True, slots=True)
class WordSize(BaseCheck):
    """The installed programs are 64-bit ones, not only the kernel."""

    id: ClassVar[str] = "userland"
    title: ClassVar[str] = "64-bit programs"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Userland(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[Userland()]
        return Failed("OLR-PRE-040", {"found": found}) if found in ("armhf", "armel", "i386") else Passed(found)


@dataclass(frozen=True, slots=True)
class Pages(BaseCheck):
    """Memory comes in pages of the usual size; many programs are built for that one only."""

    id: ClassVar[str] = "page-size"
    title: ClassVar[str] = "Page size"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PageSize(), RaspberryPi())

    def judge(self, facts: Facts) -> Verdict:
        found = facts[PageSize()]
        if found == 4096:
            return Passed("4 KiB")
        pi = facts[RaspberryPi()]
        how = (
            f"put `kernel=kernel8.img` below a line `[pi5]` in {pi.config or '/boot/firmware/config.txt'} and reboot"
            if pi is not None
            else "boot the distribution's kernel with 4 KiB pages"
        )
        return Failed("OLR-PRE-041", {"size": found // 1024, "how": how})
