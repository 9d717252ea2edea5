"""Whether the network leaves room for a cluster: ports, addresses, names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, ClassVar

from installers.core.facts.conditions import NameServers, Ours, Route, Routes, is_loopback
from installers.core.facts.identity import PolicyRoutes
from installers.core.facts.platform import DefaultAddress, Hostname, Listener, PortOwner
from installers.core.model import Fact, Facts
from installers.precheck.check import ENGINES, BaseCheck, Failed, Passed, Severity, Verdict

PORTS = (
    (6443, "kubernetes", "kube-apiserver"),
    (10250, "kubernetes", "kubelet"),
    (10257, "kubernetes", "kube-controller-manager"),
    (10259, "kubernetes", "kube-scheduler"),
    (2379, "etcd", "etcd"),
    (2380, "etcd", "etcd"),
    (9100, "prometheus", "prometheus-node-exporter"),
)
"""A TCP port on the host, the component that listens there, and its process."""

K3S = ("k3s", "k3s-server")
"""The component and the process that listens for all parts of Kubernetes where K3s is the engine."""

COMM = 15
"""The kernel cuts names of processes to so many characters."""


@dataclass(frozen=True, slots=True)
class PortsFree(BaseCheck):
    """Nobody but this installation listens where a cluster has to."""

    journal: str

    id: ClassVar[str] = "ports-free"
    title: ClassVar[str] = "Free ports"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (*(PortOwner(port) for port, _, _ in PORTS), Ours(self.journal))

    def judge(self, facts: Facts) -> Verdict:
        taken = [(port, owner, comp, name) for port, comp, name in PORTS if (owner := facts[PortOwner(port)])]
        if not taken:
            return Passed(", ".join(str(port) for port, _, _ in PORTS))
        ours = facts[Ours(self.journal)]
        foreign = [
            (port, owner)
            for port, owner, component, name in taken
            if not _known(owner, ours, (component, name), *([K3S] if component == "kubernetes" else []))
        ]
        if not foreign:
            return Passed("in use by this installation, or free")
        said = [
            f"{port} by {owner.process} (process {owner.pid})" if owner.pid else f"{port} by a process hidden from us"
            for port, owner in foreign
        ]
        return Failed("OLR-PRE-020", {"taken": ", ".join(said), "port": foreign[0][0]})


def _known(owner: Listener, ours: frozenset[str], *rows: tuple[str, str]) -> bool:
    """Whether one of these components is ours and the process that listens is its, as far as it shows."""
    return any(
        component in ours and (not owner.process or owner.process[:COMM] == name[:COMM]) for component, name in rows
    )


@dataclass(frozen=True, slots=True)
class DefaultRoute(BaseCheck):
    """The node has an address others reach it under."""

    given: str

    id: ClassVar[str] = "address"
    title: ClassVar[str] = "Address"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (DefaultAddress(),)

    def judge(self, facts: Facts) -> Verdict:
        if self.given:
            return Passed(f"{self.given}, from olares.yaml")
        found = facts[DefaultAddress()]
        return Passed(f"{found}, of the default route") if found else Failed("OLR-PRE-021", {})


OUR_LINKS = ("cni0", "flannel", "veth", "lo")
"""Beginnings of the names of links whose routes are the cluster's own."""


@dataclass(frozen=True, slots=True)
class AddressRanges(BaseCheck):
    """Pods and services get addresses that lead nowhere else from here."""

    pods: str
    services: str
    journal: str

    id: ClassVar[str] = "address-ranges"
    title: ClassVar[str] = "Pod and service addresses"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Routes(), PolicyRoutes(), Ours(self.journal))

    def judge(self, facts: Facts) -> Verdict:
        routes = (*facts[Routes()], *(Route(network, "a routing rule of its own") for network in facts[PolicyRoutes()]))
        for name, range in (("pods", self.pods), ("services", self.services)):
            for route in routes:
                if not ip_network(range).overlaps(ip_network(route.network)):
                    continue
                if route.link.startswith(OUR_LINKS) and ENGINES & facts[Ours(self.journal)]:
                    continue
                return Failed(
                    "OLR-PRE-022", {"name": name, "range": range, "network": route.network, "link": route.link}
                )
        return Passed(f"{self.pods} and {self.services} are free here")


@dataclass(frozen=True, slots=True)
class Resolver(BaseCheck):
    """Names can be looked up by servers that pods reach as well, and that do not ask the cluster in turn."""

    cluster: str

    id: ClassVar[str] = "name-servers"
    title: ClassVar[str] = "Name servers"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (NameServers(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[NameServers()]
        if not found:
            return Failed("OLR-PRE-023", {})
        if self.cluster in found:
            return Failed("OLR-PRE-069", {"address": self.cluster})
        if all(map(is_loopback, found)):
            return Failed("OLR-PRE-024", {"servers": ", ".join(found)})
        return Passed(", ".join(found))


LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class NodeName(BaseCheck):
    """The node's name is one Kubernetes accepts: an RFC 1123 subdomain in lower case."""

    given: str

    id: ClassVar[str] = "node-name"
    title: ClassVar[str] = "Node name"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Hostname(),)

    def judge(self, facts: Facts) -> Verdict:
        name = self.given or facts[Hostname()].lower()
        if len(name) > 253 or not all(LABEL.fullmatch(label) for label in name.split(".")):
            return Failed("OLR-PRE-025", {"name": name or "empty"})
        if name in ("localhost", "localhost.localdomain"):
            return Failed("OLR-PRE-026", {"name": name}, severity="warning")
        return Passed(f"{name}, from olares.yaml" if self.given else f"{name}, from the host name")
