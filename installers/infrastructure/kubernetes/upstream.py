"""Kubernetes as upstream releases it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from installers.core.component.values import Values
from installers.core.facts.images import ImagesPresent
from installers.core.model import Footprint, Resource
from installers.core.resources.artifacts import Binary
from installers.core.resources.command import GuardedCommand
from installers.core.resources.files import File
from installers.infrastructure.kubernetes.kubeadm import TODAY
from installers.site import Site

BIN = "/usr/local/bin"


def with_calico(footprint: Footprint) -> Footprint:
    """A kubelet's footprint and what Calico's pods leave besides, by their manifest and sources at v3.32.1.

    The kubelet's unit has it because that is what starts them. Not seen here yet.
    """
    return replace(
        footprint,
        trees=(*footprint.trees, "/var/lib/calico", "/run/calico", "/var/log/calico", "/run/nodeagent"),
        # Its CNI configuration with a kubeconfig, and its plugins; both directories are containerd's component's.
        contents=("/etc/cni/net.d", "/opt/cni/bin"),
        mounts=(*footprint.mounts, "/run/calico/"),
        links=(*footprint.links, "cali*", "tunl0", "vxlan.calico"),
        chains=(*footprint.chains, "cali-"),
        ipsets=("cali",),
        sysctls=(*footprint.sysctls, "net.netfilter.nf_conntrack_acct"),
        modules=(*footprint.modules, "vxlan", "udp_tunnel", "ip6_udp_tunnel", "ipip", "ip_tunnel", "tunnel4"),
    )


def programs(site: Site, values: Values) -> Iterator[Resource]:
    """One program a file, and crictl for people, told where the runtime is."""
    for name in ("kubeadm", "kubelet", "kubectl"):
        yield Binary(f"{BIN}/{name}", values.releases[name], site.paths)
    yield Binary(f"{BIN}/crictl", values.releases["crictl"], site.paths, "crictl")
    yield File("/etc/crictl.yaml", f"runtime-endpoint: {TODAY.socket}\n")


def images(values: Values, config: str) -> GuardedCommand:
    """The control plane's images in containerd before the kubelet starts: a slow line is no reason to call it dead.

    They come from where containerd's hosts.toml files send it, and are believed by tag: no digest is known.
    """
    return GuardedCommand(
        name="kubeadm images",
        argv=(f"{BIN}/kubeadm", "config", "images", "pull", "--config", config),
        done_when=ImagesPresent(tuple(sorted(values.images.values()))),
        timeout=1800,
        undo="they lie in containerd's store and go with it",
        inside="containerd",
    )
