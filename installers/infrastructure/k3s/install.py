"""K3s as the whole cluster of this node: one program, its configuration files, one unit."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.artifacts.cache import slug
from installers.core.artifacts.recipes import IMAGE
from installers.core.component.values import Values
from installers.core.errors import Failure
from installers.core.facts.protection import SelinuxState
from installers.core.facts.results import NodeReady, ObjectsPresent
from installers.core.model import Footprint, Kind, Ref, Resource
from installers.core.resources.artifacts import Binary
from installers.core.resources.files import Absent, Block, Directory, File, Symlink
from installers.core.resources.programs import Labels, SelinuxPolicies
from installers.core.resources.templates import Template
from installers.core.resources.units import Unit
from installers.core.resources.wait import Wait
from installers.infrastructure.k3s.config import (
    AGENT_TOKEN,
    CONFIG,
    ENDPOINT,
    ENVIRONMENT,
    HOME,
    REGISTRIES,
    TOKEN,
    environment,
    registries,
    server,
    written,
)
from installers.site import K3S_DATA, Site

BIN = "/usr/local/bin"
PROGRAM = f"{BIN}/k3s"
UNIT = "k3s.service"
DATA = K3S_DATA
IMAGES = f"{DATA}/agent/images"
"""What lies here K3s reads into its containerd at each start, and while it runs (docs.k3s.io/import-images)."""

OPTIONAL = (REGISTRIES, ENVIRONMENT)
"""What stands there only while olares.yaml says so."""

NODES = Kind("v1", "Node", "nodes", namespaced=False)

FOOTPRINT = Footprint(
    # Each directory that holds something before the first start is named, so that what is new in it can be told.
    trees=(
        *(DATA, f"{DATA}/agent", IMAGES, "/run/k3s", "/run/flannel", "/etc/rancher/node", "/etc/cni", "/var/lib/cni"),
        *(
            "/var/lib/cni/networks",
            "/var/lib/cni/results",
            "/var/lib/kubelet",
            "/var/log/pods",
            "/var/log/containers",
            "/usr/libexec/kubernetes",
        ),
    ),
    contents=(HOME,),
    mounts=("/run/k3s", DATA, "/var/lib/kubelet"),
    links=("cni0", "flannel.1", "flannel-v6.1", "flannel-wg*", "kube-ipvs0", "veth*"),
    netns=("cni-*",),
    chains=("KUBE-", "CNI-", "FLANNEL-"),
    ipsets=("KUBE-", "inet6:KUBE-", "kube-router-"),
    # The unit's own group: a stop leaves the shims of containers in it, which hold pods alive (KillMode=process).
    cgroups=("kubepods*", f"system.slice/{UNIT}"),
    modules=(
        *("xt_*", "ipt_*", "ip6t_*", "iptable_*", "ip6table_*", "ip_tables", "ip6_tables", "nft_*", "nf_tables"),
        *("nf_nat*", "nf_reject_*", "nf_conntrack_*", "nfnetlink", "ip_vs*", "ip_set*", "veth"),
        *("vxlan", "udp_tunnel", "ip6_udp_tunnel"),
    ),
    sysctls=(
        *("kernel.panic", "kernel.panic_on_oops", "vm.overcommit_memory", "vm.panic_on_oom"),
        *("kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes", "net.ipv4.conf.all.route_localnet"),
    ),
    holds="cluster",
)
"""What K3s leaves by the word of its own k3s-killall and k3s-uninstall; not seen here yet. Volumes are not in it."""


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """From the program to a Ready node. The images K3s runs lie beside it before it starts: it asks no registry."""
    pinned = values.releases["k3s"]
    _require(site, pinned.version)
    own = site.k3s.runtime == "own"
    yield SelinuxPolicies(("container-selinux", "k3s-selinux"))
    yield Binary(PROGRAM, pinned, site.paths)
    # K3s's crictl and ctr ask K3s's containerd; the host's comes with a ctr of its own.
    for name in ("kubectl", "crictl", "ctr") if own else ("kubectl",):
        yield Symlink(f"{BIN}/{name}", "k3s")
    yield Block("/etc/hosts", "olares", f"127.0.0.1 {ENDPOINT}\n")
    yield from _files(site, values)
    yield Labels("k3s", (PROGRAM,), ("/var/lib/rancher", DATA, f"{DATA}/agent", IMAGES))
    yield Unit(
        UNIT,
        content=_unit(site),
        restart_on=[PROGRAM, CONFIG, TOKEN, AGENT_TOKEN, *OPTIONAL, *(f"absent:{path}" for path in OPTIONAL)],
        footprint=FOOTPRINT,
        # Reading the images takes minutes on a slow disk.
        timeout=900,
    )
    yield Wait("the node is registered", ObjectsPresent((Ref(NODES, site.node.name),)), deadline=180)
    yield Wait("the node is Ready", NodeReady(site.node.name), deadline=300)


def _require(site: Site, version: str) -> None:
    """What was asked for is what this program can bring; refused before anything is planned."""
    asked = site.k3s.version.removeprefix("v")
    if asked not in ("", version):
        raise Failure("OLR-KUBE-004", version=asked, known=version)
    if site.k3s.runtime == "shared" and site.signed:
        raise Failure("OLR-KUBE-005")


def _files(site: Site, values: Values) -> Iterator[Resource]:
    """Everything K3s reads. Both tokens are read from files: a command line and a unit are there for all to see."""
    own = site.k3s.runtime == "own"
    # K3s would make it, and leave it behind; what lies below is in the footprint.
    yield Directory("/var/lib/rancher")
    if own:
        archive = values.releases["k3s-images"]
        yield Binary(f"{IMAGES}/{archive.file.file}", archive, site.paths, mode=0o644)
        for planned in values.archives:
            # Of all components: what lies here before K3s starts it never asks a registry for.
            yield Binary(f"{IMAGES}/olares-{slug(planned.name)}.tar", planned, site.paths, IMAGE, mode=0o644)
    yield File(TOKEN, values.secret("k3s/token"), mode=0o600)
    yield File(AGENT_TOKEN, values.secret("k3s/agent-token"), mode=0o600)
    datastore = values.published["etcd"] if site.k3s.datastore == "etcd" else {}
    configuration = Template("config.yaml.j2", text=written(server(site, datastore)), selinux=SelinuxState())
    yield File(CONFIG, configuration, mode=0o600)
    # With the host's containerd both are its component's business.
    texts = (registries(site.registries) if own else "", environment(site.proxy_environment()))
    for path, text in zip(OPTIONAL, texts, strict=True):
        # What olares.yaml says no more must not go on being read.
        yield File(path, text, mode=0o600) if text else Absent(path)


def _unit(site: Site) -> Template:
    outside = {"etcd": site.k3s.datastore == "etcd", "containerd": site.k3s.runtime == "shared"}
    return Template(
        "k3s.service.j2",
        program=PROGRAM,
        role="server",
        environment=ENVIRONMENT,
        after=tuple(f"{name}.service" for name, taken in outside.items() if taken),
    )
