"""What others left or will want here: package managers, former clusters' networks, web ports, graphics cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.conditions import EntryNames, Ours
from installers.core.facts.devices import PciDevices
from installers.core.facts.managers import AutomaticUpgrades, PackageManager
from installers.core.facts.platform import PortOwner
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, Passed, Severity, Verdict


@dataclass(frozen=True, slots=True)
class Installer(BaseCheck):
    """Packages can be installed here, and nobody is at it. apt's own locks have a check of theirs."""

    id: ClassVar[str] = "package-manager"
    title: ClassVar[str] = "Package manager"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PackageManager(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[PackageManager()]
        if found is None:
            return Failed("OLR-PRE-059", {})
        if found.lock:
            return Failed("OLR-PRE-060", {"name": found.name, "lock": found.lock}, severity="warning")
        return Passed(found.name)


@dataclass(frozen=True, slots=True)
class OwnUpgrades(BaseCheck):
    """A program that upgrades packages by itself is said: it restarts what it upgrades."""

    id: ClassVar[str] = "automatic-upgrades"
    title: ClassVar[str] = "Automatic upgrades"
    severity: ClassVar[Severity] = "info"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (AutomaticUpgrades(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[AutomaticUpgrades()]
        return Failed("OLR-PRE-073", {"program": found}) if found else Passed("off")


CONFIGS = EntryNames("/etc/cni/net.d", "")
LINKS = EntryNames("/sys/class/net", "")
OUR_CONFIG = "10-olares.conflist"
CLUSTER_LINKS = ("cni0", "flannel.1", "kube-ipvs0", "cilium_host", "weave", "vxlan.calico")
"""Links that only a cluster's network makes."""


@dataclass(frozen=True, slots=True)
class FormerNetworks(BaseCheck):
    """No network of a former cluster: the runtime takes the first configuration by name, not ours."""

    journal: str

    id: ClassVar[str] = "former-networks"
    title: ClassVar[str] = "Networks of former clusters"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (CONFIGS, LINKS, Ours(self.journal))

    def judge(self, facts: Facts) -> Verdict:
        first = [
            name
            for name in facts[CONFIGS]
            if name < OUR_CONFIG and name.endswith((".conf", ".conflist", ".json")) and not name.startswith(".")
        ]
        if first:
            return Failed("OLR-PRE-061", {"files": ", ".join(f"/etc/cni/net.d/{name}" for name in first)})
        links = [name for name in facts[LINKS] if name in CLUSTER_LINKS]
        if links and not {"calico", "k3s"} & facts[Ours(self.journal)]:
            return Failed("OLR-PRE-062", {"links": ", ".join(links), "link": links[0]}, severity="warning")
        return Passed("those of this installation" if links else "none")


WEB = (80, 443, 444, 2444, 30180)
"""Ports on which the system's pages and applications answer, once there are any; the node's metrics are checked
with the ports of today.
"""


@dataclass(frozen=True, slots=True)
class WebPorts(BaseCheck):
    """Ports that applications will want are free; nothing of today's installation listens there."""

    id: ClassVar[str] = "web-ports"
    title: ClassVar[str] = "Ports for applications"
    severity: ClassVar[Severity] = "info"

    def needs(self) -> tuple[Fact[Any], ...]:
        return tuple(map(PortOwner, WEB))

    def judge(self, facts: Facts) -> Verdict:
        taken = [(port, owner) for port in WEB if (owner := facts[PortOwner(port)]) is not None]
        if not taken:
            return Passed(", ".join(map(str, WEB)))
        said = ", ".join(f"{port} by {owner.process or 'a process hidden from us'}" for port, owner in taken)
        return Failed("OLR-PRE-063", {"taken": said, "port": taken[0][0]})


NVIDIA = "10de"


@dataclass(frozen=True, slots=True)
class Graphics(BaseCheck):
    """Graphics cards are said; one with the free driver nouveau cannot compute."""

    id: ClassVar[str] = "graphics"
    title: ClassVar[str] = "Graphics cards"
    severity: ClassVar[Severity] = "info"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PciDevices(),)

    def judge(self, facts: Facts) -> Verdict:
        cards = [device for device in facts[PciDevices()] if device.graphics]
        wrong = [card.address for card in cards if card.vendor == NVIDIA and card.driver in ("nouveau", "nova_core")]
        if wrong:
            return Failed("OLR-PRE-064", {"cards": ", ".join(wrong)})
        said = (f"{card.vendor}:{card.device} ({card.driver or 'no driver'})" for card in cards)
        return Passed(", ".join(said) or "none seen")
