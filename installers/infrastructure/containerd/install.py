"""containerd and runc as the node's container runtime."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.artifacts.reference import without_tag
from installers.core.component.values import Values
from installers.core.facts.platform import CgroupMode, MayLowerOomScore
from installers.core.model import Footprint, Resource
from installers.core.resources.files import Directory, File, NoFormer
from installers.core.resources.packages import Packages
from installers.core.resources.templates import Not, Template
from installers.core.resources.units import Unit
from installers.infrastructure.containerd import upstream
from installers.infrastructure.containerd.registries import FOLDER, NAME, hosts_files
from installers.site import Site

CONFIG = "/etc/olares/containerd.toml"


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """containerd serving CRI on /run/containerd/containerd.sock, its data below our state directory.

    A package's own /etc/containerd/config.toml is left alone; a drop-in names ours. Data lies with
    the rest of our state because a machine's root is an overlay, which cannot hold another one.
    """
    data = f"{site.paths.state}/containerd"
    if site.edition == "upstream":
        yield from upstream.programs(site, values)
    else:
        yield Packages("containerd", "runc", "containernetworking-plugins")
    yield File(CONFIG, _configuration(site, values, data))
    mirrors = dict(hosts_files(site.registries))
    for path, content in mirrors.items():
        yield File(path, content)
    yield NoFormer(FOLDER, NAME, tuple(mirrors))
    # containerd makes these when it starts, and would leave them behind.
    for path in ("/etc/cni", "/etc/cni/net.d", "/run/netns"):
        yield Directory(path)
    yield _unit(site, data)


def _configuration(site: Site, values: Values, data: str) -> Template:
    restrict_oom, cgroups = Not(MayLowerOomScore()), CgroupMode()
    if site.edition != "upstream":
        # Only then, so that a host without mirrors has the configuration that was tried.
        registries = FOLDER if site.registries else ""
        return Template("config.toml.j2", data=data, restrict_oom=restrict_oom, cgroups=cgroups, registries=registries)
    return Template(
        "config-v3.toml.j2",
        data=data,
        restrict_oom=restrict_oom,
        cgroups=cgroups,
        registries=FOLDER,
        sandbox=without_tag(values.images["pause"]),
        cni=upstream.CNI,
        runc=upstream.RUNC,
    )


def _unit(site: Site, data: str) -> Unit:
    ours = site.edition == "upstream"
    program = upstream.PROGRAM if ours else "/usr/bin/containerd"
    proxies = tuple(site.proxy_environment().items())
    return Unit(
        "containerd.service",
        content=Template("containerd.service.j2") if ours else None,
        dropins={"olares.conf": Template("dropin.conf.j2", program=program, config=CONFIG, proxies=proxies)},
        restart_on=[CONFIG, program] if ours else [CONFIG],
        footprint=Footprint(
            trees=(data, "/run/containerd", "/opt/containerd", *(upstream.TREES if ours else ())),
            mounts=("/run/containerd/", data),
            holds="containerd",
        ),
    )
