"""Pod networking: Calico itself with today's Kubernetes, else the CNI project's bridge plugin in its place."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.facts.results import NodeReady
from installers.core.model import Kind, Ref, Resource
from installers.core.resources.artifacts import Binary
from installers.core.resources.files import File
from installers.core.resources.templates import Template
from installers.core.resources.wait import Rollout, Wait
from installers.infrastructure.calico.manifest import Manifest, Settings
from installers.site import Site

CONFIG = "/etc/cni/net.d/10-olares.conflist"
MANIFEST = "/etc/olares/calico.yaml"
NODE = Ref(Kind("apps/v1", "DaemonSet", "daemonsets"), "calico-node", "kube-system")


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """Calico, where this edition has its release for this engine."""
    if "calico" in values.releases:
        yield from _calico(site, values)
    else:
        yield from _bridge(site)


def _calico(site: Site, values: Values) -> Iterator[Resource]:
    """Its own manifest with our settings, up to a Ready node: before it no pod has an address.

    The file lies on the host, so that a later plan can tell what should be there with an empty cache.
    """
    pinned = values.releases["calico"]
    yield Binary(MANIFEST, pinned, site.paths, mode=0o644)
    yield Manifest(MANIFEST, pinned.file.sha256, Settings(site.network.pods, tuple(values.images.values())))
    # Three images are pulled first.
    yield Rollout(NODE, deadline=600)
    yield Wait("the node is Ready", NodeReady(site.node.name), deadline=180)


def _bridge(site: Site) -> Iterator[Resource]:
    """A bridge per node with addresses out of the pod range, masquerading for the way out, host ports."""
    yield File(CONFIG, Template("10-olares.conflist.j2", pods=site.network.pods))
