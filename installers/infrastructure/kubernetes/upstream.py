"""Kubernetes as upstream releases it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from installers.core.component.values import Values
from installers.core.facts.conditions import is_loopback
from installers.core.facts.identity import ResolvConf
from installers.core.facts.images import ImagesPresent
from installers.core.model import Fact, Facts, Resource
from installers.core.resources.artifacts import Binary
from installers.core.resources.command import GuardedCommand
from installers.core.resources.files import File
from installers.infrastructure.kubernetes.kubeadm import TODAY
from installers.site import Site

BIN = "/usr/local/bin"


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


@dataclass(frozen=True, slots=True)
class PodResolvConf:
    """The resolv.conf that pods' own begins with: never one that names only systemd-resolved's stub.

    A pod cannot reach that stub, and cluster DNS would ask itself. Resolved keeps the real servers in
    a file beside it. Without any file the kubelet is told to do without.
    """

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ResolvConf(),)

    def value(self, facts: Facts) -> object:
        found = facts[ResolvConf()]
        if found is None:
            return ""
        stub = found.manager == "systemd-resolved" and all(map(is_loopback, found.servers))
        return "/run/systemd/resolve/resolv.conf" if stub else "/etc/resolv.conf"
