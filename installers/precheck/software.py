"""Whether the software here leaves room for ours: runtimes, package sources, dpkg."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.conditions import AptSource, AptSources, ContainerdVersion, Ours, PackageLock
from installers.core.facts.managers import PackageManager
from installers.core.facts.packages import UnfinishedPackages
from installers.core.facts.platform import FormerRuntimes, OsRelease
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, NotRun, Passed, Severity, Verdict

MADE_BY: Mapping[str, str] = {
    "containerd (/usr/bin/containerd)": "containerd",
    "containerd (/usr/local/bin/containerd)": "containerd",
    "Kubernetes (/etc/kubernetes/kubelet.conf)": "kubernetes",
    "Kubernetes (/etc/kubernetes/manifests/kube-apiserver.yaml)": "kubernetes",
    "K3s (/usr/local/bin/k3s)": "k3s",
    "K3s (/etc/rancher/k3s)": "k3s",
    "K3s (/var/lib/rancher/k3s)": "k3s",
}
"""Traces that our own components make too."""


@dataclass(frozen=True, slots=True)
class OtherRuntimes(BaseCheck):
    """No container runtime and no Kubernetes that was here before us; none is adopted silently."""

    journal: str

    id: ClassVar[str] = "other-runtimes"
    title: ClassVar[str] = "Other container runtimes"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (FormerRuntimes(), Ours(self.journal))

    def judge(self, facts: Facts) -> Verdict:
        found = facts[FormerRuntimes()]
        if not found:
            return Passed("none")
        ours = facts[Ours(self.journal)]
        foreign = [trace for trace in found if MADE_BY.get(trace) not in ours]
        if foreign and all(trace.startswith("Docker Desktop") for trace in foreign):
            return Failed("OLR-PRE-068", {"found": ", ".join(foreign)}, severity="warning")
        if foreign:
            return Failed("OLR-PRE-015", {"found": ", ".join(foreign)})
        return Passed("only those of this installation")


@dataclass(frozen=True, slots=True)
class Containerd(BaseCheck):
    """containerd comes in a version the engine speaks with: its kubelet knows only CRI v1alpha2.

    Asked where containerd comes from the system's packages; other sources bring their own.
    """

    edition: str

    id: ClassVar[str] = "containerd"
    title: ClassVar[str] = "containerd's version"
    patience: ClassVar[float] = 10.0

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ContainerdVersion(),) if self.edition == "debian" else ()

    def judge(self, facts: Facts) -> Verdict:
        if self.edition != "debian":
            return Passed("it does not come from this system's packages")
        version = facts[ContainerdVersion()]
        if version is None:
            return NotRun("the system's package lists name none; the install fetches lists of its own")
        number = re.match(r"(?:\d+:)?(\d+)\.(\d+)\b", version)
        if number is None or (int(number[1]), int(number[2])) not in ((1, 6), (1, 7)):
            return Failed("OLR-PRE-016", {"version": version})
        return Passed(version)


@dataclass(frozen=True, slots=True)
class PackageSources(BaseCheck):
    """apt has the distribution's archive among its sources. Whether it answers shows when lists are fetched."""

    edition: str

    id: ClassVar[str] = "package-sources"
    title: ClassVar[str] = "Package sources"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (AptSources(), OsRelease(), PackageManager())

    def judge(self, facts: Facts) -> Verdict:
        manager = facts[PackageManager()]
        if self.edition != "debian" and (manager is None or manager.name != "apt"):
            name = manager.name if manager is not None else "no package manager that we know"
            return NotRun(f"packages come by {name}, whose sources are not looked at")
        codename = facts[OsRelease()].codename
        uris = [s.uri for s in facts[AptSources()] if s.suite == codename and _archive(s)]
        if not uris:
            return Failed("OLR-PRE-017", {"suite": codename or "this system's release"})
        return Passed(f"{codename} from {', '.join(dict.fromkeys(uris))}")


def _archive(source: AptSource) -> bool:
    """Whether it can be a distribution's archive: reached by a network, and with the component all of them have.

    Others' repositories use a release's name too (Docker's ``stable``, Proxmox' ``pve-enterprise``).
    """
    return not source.uri.startswith("cdrom:") and (not source.components or "main" in source.components)


@dataclass(frozen=True, slots=True)
class DpkgFree(BaseCheck):
    """Nobody else installs packages now. An install waits some minutes for its turn, so this only warns."""

    id: ClassVar[str] = "dpkg-lock"
    title: ClassVar[str] = "Package lock"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PackageLock(),)

    def judge(self, facts: Facts) -> Verdict:
        holder = facts[PackageLock()]
        if holder is None:
            return Passed("free")
        who = f"{holder.process or 'a process hidden from us'} (process {holder.pid})"
        return Failed("OLR-PRE-018", {"who": who, "pid": holder.pid, "path": holder.path})


@dataclass(frozen=True, slots=True)
class DpkgFinished(BaseCheck):
    """dpkg has nothing half done."""

    id: ClassVar[str] = "dpkg-finished"
    title: ClassVar[str] = "Packages configured"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (UnfinishedPackages(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[UnfinishedPackages()]
        return Failed("OLR-PRE-019", {"packages": ", ".join(found)}) if found else Passed("all")
