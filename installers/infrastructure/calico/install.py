"""Pod networking: the CNI project's bridge plugin in Calico's place."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.model import Resource
from installers.core.resources.files import File
from installers.core.resources.templates import Template
from installers.site import Site

CONFIG = "/etc/cni/net.d/10-olares.conflist"


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """A bridge per node with addresses out of the pod range, masquerading for the way out, host ports."""
    yield File(CONFIG, Template("10-olares.conflist.j2", pods=site.network.pods))
