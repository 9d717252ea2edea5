"""containerd and runc as the node's container runtime."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.facts.platform import CgroupMode, MayLowerOomScore
from installers.core.model import Footprint, Resource
from installers.core.resources.files import Directory, File
from installers.core.resources.packages import Packages
from installers.core.resources.templates import Not, Template
from installers.core.resources.units import Unit
from installers.site import Site

CONFIG = "/etc/olares/containerd.toml"


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """containerd serving CRI on /run/containerd/containerd.sock, its data below our state directory.

    The package's own /etc/containerd/config.toml is left alone; a drop-in names ours. Data lies with
    the rest of our state because a machine's root is an overlay, which cannot hold another one.
    """
    data = f"{site.paths.state}/containerd"
    yield Packages("containerd", "runc", "containernetworking-plugins")
    yield File(
        CONFIG,
        Template("config.toml.j2", data=data, restrict_oom=Not(MayLowerOomScore()), cgroups=CgroupMode()),
    )
    # containerd makes these when it starts, and would leave them behind.
    for path in ("/etc/cni", "/etc/cni/net.d", "/run/netns"):
        yield Directory(path)
    yield Unit(
        "containerd.service",
        dropins={"olares.conf": Template("dropin.conf.j2", config=CONFIG)},
        restart_on=[CONFIG],
        footprint=Footprint(
            trees=(data, "/run/containerd", "/opt/containerd"),
            mounts=("/run/containerd/", data),
            holds="containerd",
        ),
    )
