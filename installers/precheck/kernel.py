"""Whether the kernel can run containers: features, control groups, security modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.boards import RaspberryPi
from installers.core.facts.conditions import Confinement, ReadOnlyCgroups
from installers.core.facts.kernel import (
    AVAILABLE,
    BUILT_IN,
    LOADED,
    MISSING,
    NO_MODULES,
    Evidence,
    KernelVersion,
    ModuleState,
    ModuleTree,
)
from installers.core.facts.platform import CgroupMode, OsRelease
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, NotRun, Passed, Severity, Verdict

FEATURES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "overlay": ("/proc/filesystems:overlay", ("overlay",)),
    "br_netfilter": ("/proc/sys/net/bridge/bridge-nf-call-iptables", ("br_netfilter",)),
    "nf_conntrack": ("/proc/sys/net/netfilter/nf_conntrack_max", ("nf_conntrack",)),
    "iptables nat": ("/proc/net/ip_tables_targets:MASQUERADE", ("nft_chain_nat", "iptable_nat")),
}
"""A feature, where a kernel that has it shows it, and the modules that bring it, one of them enough."""

EXTRA: Mapping[str, str] = {
    "rhel": "run `dnf install kernel-modules-extra-$(uname -r)`",
    "debian": "install the whole kernel (Debian: `apt-get install linux-image-amd64`; Ubuntu: linux-modules-extra)",
}
OUTSIDE = "have the computer around load them (`modprobe`), or boot the distribution's own kernel"
"""What to do where no modules lie in this system: in a container, or on a kernel that loads none."""


def extra_modules(family: str) -> str:
    """How the rest of the kernel's modules are installed on a family of distributions."""
    return EXTRA.get(family, "install all of the kernel's modules from the distribution's packages")


@dataclass(frozen=True, slots=True)
class KernelFeatures(BaseCheck):
    """Overlay file systems, bridged traffic through iptables, connection tracking, address translation."""

    id: ClassVar[str] = "kernel-features"
    title: ClassVar[str] = "Kernel features"

    def needs(self) -> tuple[Fact[Any], ...]:
        shown = (Evidence(where) for where, _ in FEATURES.values())
        modules = (ModuleState(module) for _, modules in FEATURES.values() for module in modules)
        return (*shown, *modules, ModuleTree(), OsRelease())

    def judge(self, facts: Facts) -> Verdict:
        states = {name: _state(facts, where, modules) for name, (where, modules) in FEATURES.items()}
        missing = [name for name, state in states.items() if state == "missing"]
        if missing:
            how = f"{extra_modules(facts[OsRelease()].family)}, and reboot" if facts[ModuleTree()] else OUTSIDE
            return Failed("OLR-PRE-012", {"missing": ", ".join(missing), "how": how})
        return Passed(", ".join(f"{name} {state}" for name, state in states.items()))


def _state(facts: Facts, where: str, modules: tuple[str, ...]) -> str:
    """built-in, loaded, available or missing. What a module says is asked first: anyone may read that."""
    states = [facts[ModuleState(module)] for module in modules]
    for state in (LOADED, BUILT_IN, AVAILABLE):
        if state in states and (state != AVAILABLE or Evidence(where) not in facts or not facts[Evidence(where)]):
            return state
    return BUILT_IN if facts[Evidence(where)] else "missing"


OLDEST = (4, 19)
"""The oldest kernel kubeadm takes from Kubernetes 1.32 on; nobody has tried this program on an older one."""


@dataclass(frozen=True, slots=True)
class KernelAge(BaseCheck):
    """The kernel is one that the engine is made for."""

    edition: str

    id: ClassVar[str] = "kernel-version"
    title: ClassVar[str] = "Kernel version"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (KernelVersion(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[KernelVersion()]
        said = ".".join(map(str, found))
        if found[:2] < OLDEST:
            return Failed("OLR-PRE-065", {"found": said}, severity="warning" if self.edition == "debian" else None)
        return Passed(said)


NETFILTER = (
    *("xt_comment", "xt_mark", "xt_conntrack", "xt_addrtype", "xt_multiport", "xt_nat", "xt_statistic"),
    *("ip_set", "xt_set", "vxlan"),
)
"""Modules kube-proxy's rules and pod networks ask for one by one; a distribution may pack some of them apart."""


@dataclass(frozen=True, slots=True)
class NetfilterModules(BaseCheck):
    """Every kernel module that rules for services ask for can be loaded."""

    id: ClassVar[str] = "netfilter-modules"
    title: ClassVar[str] = "Kernel modules for services"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (*map(ModuleState, NETFILTER), ModuleTree(), OsRelease())

    def judge(self, facts: Facts) -> Verdict:
        states = {name: facts[ModuleState(name)] for name in NETFILTER}
        missing = [name for name, state in states.items() if state == MISSING]
        if NO_MODULES in states.values():
            return NotRun("this kernel loads no modules and does not say what is built in")
        if not missing:
            return Passed("all there")
        if not facts[ModuleTree()]:
            return NotRun("the kernel's modules do not lie in this system")
        how = extra_modules(facts[OsRelease()].family)
        return Failed("OLR-PRE-066", {"missing": ", ".join(missing), "how": how})


@dataclass(frozen=True, slots=True)
class CgroupVersion(BaseCheck):
    """Control groups of the version the engine takes: Kubernetes 1.35 and later refuse version 1."""

    edition: str

    id: ClassVar[str] = "cgroup-version"
    title: ClassVar[str] = "Control group version"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (CgroupMode(),)

    def judge(self, facts: Facts) -> Verdict:
        mode = facts[CgroupMode()].mode
        if mode == "v2":
            return Passed("version 2")
        if self.edition != "debian":
            return Failed("OLR-PRE-067", {})
        return Passed("version 1, which this Kubernetes takes")


V1 = frozenset({"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids"})
V2 = frozenset({"cpu", "memory", "pids"})
"""Controllers without which the kubelet or runc refuse to start containers."""


@dataclass(frozen=True, slots=True)
class ControlGroups(BaseCheck):
    """Control groups that can limit pods, and that we may write."""

    id: ClassVar[str] = "cgroups"
    title: ClassVar[str] = "Control groups"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (CgroupMode(), ReadOnlyCgroups(), RaspberryPi())

    def judge(self, facts: Facts) -> Verdict:
        found = facts[CgroupMode()]
        wanted = V2 if found.mode == "v2" else V1
        mode = {"v1": "version 1", "v2": "version 2"}.get(found.mode, "version 1 beside an unused version 2 tree")
        if missing := sorted(wanted - set(found.controllers)):
            pi = facts[RaspberryPi()]
            ours = missing == ["memory"] and pi is not None and pi.cmdline
            fields = {"mode": mode, "missing": ", ".join(missing)}
            # What the install itself switches on, with a restart, forbids no install.
            return Failed("OLR-PRE-013", fields, severity="warning" if ours else None)
        used = {"unified"} if found.mode == "v2" else V1
        if locked := [name for name in facts[ReadOnlyCgroups()] if set(name.split(",")) & used]:
            return Failed("OLR-PRE-014", {"locked": ", ".join(locked)})
        return Passed(f"{mode}; {', '.join(sorted(wanted))} usable")


@dataclass(frozen=True, slots=True)
class SecurityModules(BaseCheck):
    """AppArmor and SELinux are said, and left alone."""

    id: ClassVar[str] = "security-modules"
    title: ClassVar[str] = "Security modules"
    severity: ClassVar[Severity] = "info"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Confinement(),)

    def judge(self, facts: Facts) -> Verdict:
        return Passed(", ".join(facts[Confinement()]) or "neither AppArmor nor SELinux is on")
