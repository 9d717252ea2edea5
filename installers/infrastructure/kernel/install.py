"""Kernel features and parameters for pods and services."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.model import Resource
from installers.core.resources.kernel import KernelFeature, Sysctl
from installers.site import Site


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """Overlay file systems, bridged traffic through iptables, forwarding. Built in or loaded: both are fine."""
    yield KernelFeature("overlay", "/proc/filesystems:overlay")
    yield KernelFeature("br_netfilter", "/proc/sys/net/bridge")
    yield KernelFeature("nf_conntrack", "/proc/sys/net/netfilter/nf_conntrack_max")
    yield Sysctl("net.bridge.bridge-nf-call-iptables", "1", module="br_netfilter")
    yield Sysctl("net.ipv4.ip_forward", "1")
