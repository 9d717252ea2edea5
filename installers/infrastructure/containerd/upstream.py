"""containerd, runc and the CNI plugins as their projects release them."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.model import Resource
from installers.core.resources.artifacts import Binary
from installers.core.resources.files import Directory
from installers.core.resources.programs import LabelledAs, Labels, SelinuxPolicies
from installers.site import Site

PROGRAM = "/usr/local/bin/containerd"
BESIDE = (PROGRAM, "/usr/local/bin/containerd-shim-runc-v2", "/usr/local/bin/ctr")
RUNC = "/usr/local/sbin/runc"
CNI = "/opt/cni/bin"
"""Where CNI's own specification, containerd's defaults and Calico's installer look for plugins."""

TREES = ("/run/nri",)
"""What containerd 2 makes besides: its NRI listener's directory (vendored nri/pkg/adaptation at v2.3.4)."""

PLUGINS = ("bridge", "host-local", "loopback", "portmap", "bandwidth", "firewall", "tuning")
"""The first four are what our network and containerd use; the others are what network plugins chain to themselves."""


def labels_of(data: str) -> Iterator[Resource]:
    """SELinux: the policies, and labels. The policy for containers knows /var/lib/containerd, which ours is not."""
    yield SelinuxPolicies(("container-selinux",))
    yield LabelledAs(data, "/var/lib/containerd")
    yield Labels("containerd", (*BESIDE, RUNC, *(f"{CNI}/{name}" for name in PLUGINS)), (CNI, data))


def programs(site: Site, values: Values) -> Iterator[Resource]:
    """The programs, each by its path in its project's archive."""
    archive, plugins = values.releases["containerd"], values.releases["cni-plugins"]
    for path in BESIDE:
        yield Binary(path, archive, site.paths, f"bin/{path.rpartition('/')[2]}")
    yield Binary(RUNC, values.releases["runc"], site.paths)
    for path in ("/opt/cni", CNI):
        yield Directory(path)
    for name in PLUGINS:
        yield Binary(f"{CNI}/{name}", plugins, site.paths, name)
