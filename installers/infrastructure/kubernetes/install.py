"""The control plane: programs, kubeadm phase by phase, the kubelet, kube-proxy."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.facts.platform import CgroupMode
from installers.core.facts.results import FileContains, FilesPresent, HasLabel, NodeReady, ObjectPresent
from installers.core.model import Fact, Footprint, Kind, Ref, Resource
from installers.core.resources.artifacts import Binary
from installers.core.resources.command import GuardedCommand
from installers.core.resources.files import Block, Directory, File, Symlink
from installers.core.resources.packages import Packages
from installers.core.resources.templates import Template
from installers.core.resources.units import Unit
from installers.core.resources.wait import Rollout, Wait
from installers.site import Site

BIN = "/usr/local/bin"
HOME = "/etc/kubernetes"
CONFIG = "/etc/olares/kubeadm.yaml"
ENDPOINT = "api.olares.internal"
"""The API server's name on this node: what kubeconfigs and certificates carry instead of an address."""

CERTIFICATES = tuple(
    f"{HOME}/pki/{name}"
    for name in (
        *("ca.crt", "ca.key", "apiserver.crt", "apiserver.key"),
        *("apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"),
        *("front-proxy-ca.crt", "front-proxy-ca.key", "front-proxy-client.crt", "front-proxy-client.key"),
        *("sa.key", "sa.pub"),
    )
)
KUBECONFIGS = tuple(f"{HOME}/{name}.conf" for name in ("admin", "kubelet", "controller-manager", "scheduler"))
STATIC_PODS = tuple(f"{HOME}/manifests/kube-{name}.yaml" for name in ("apiserver", "controller-manager", "scheduler"))
KUBELET = ("/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env")
CONFIG_MAPS = Kind("v1", "ConfigMap", "configmaps")
DAEMON_SETS = Kind("apps/v1", "DaemonSet", "daemonsets")
NODES = Kind("v1", "Node", "nodes", namespaced=False)
RECORD = "it is the cluster's own record and goes with the cluster"

FOOTPRINT = Footprint(
    trees=("/var/lib/kubelet", "/var/log/pods", "/var/log/containers", "/var/lib/cni", "/usr/libexec/kubernetes"),
    mounts=("/var/lib/kubelet/", "/run/netns/cni-"),
    links=("cni0", "veth*"),
    netns=("cni-*",),
    chains=("KUBE-", "CNI-"),
    cgroups=("kubepods*",),
    sysctls=(
        *("kernel.panic", "kernel.panic_on_oops", "vm.overcommit_memory", "vm.panic_on_oom"),
        *("kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes", "net.ipv4.conf.all.route_localnet"),
    ),
)
"""What kubelet, CNI plugins and kube-proxy were seen to leave behind."""


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """Everything from programs to a Ready node. The kubelet starts when all it reads is in place."""
    yield Packages("iptables", "ebtables", "ethtool", "socat", "conntrack")
    yield from _programs(site, values)
    yield Block("/etc/hosts", "olares", f"127.0.0.1 {ENDPOINT}\n")
    yield File(CONFIG, _configuration(site), mode=0o600)
    yield from _files()
    yield Unit(
        "kubelet.service",
        content=Template("kubelet.service.j2", program=f"{BIN}/kubelet"),
        restart_on=[f"{BIN}/kube"],
        footprint=FOOTPRINT,
    )
    node = Ref(NODES, site.node.name)
    yield Wait("the node is registered", ObjectPresent(node), deadline=180)
    yield from _records(site, node)
    yield Rollout(Ref(DAEMON_SETS, "kube-proxy", "kube-system"), deadline=180)
    yield Wait("the node is Ready", NodeReady(site.node.name), deadline=180)


def _programs(site: Site, values: Values) -> Iterator[Resource]:
    """One program with many names, and kubeadm."""
    yield Binary(f"{BIN}/kube", values.builds["build"], site.paths, "kube")
    yield Binary(f"{BIN}/kubeadm", values.builds["build"], site.paths, "kubeadm")
    for name in ("kubelet", "kubectl"):
        yield Symlink(f"{BIN}/{name}", "kube")


def _configuration(site: Site) -> Template:
    return Template(
        "kubeadm.yaml.j2",
        endpoint=ENDPOINT,
        node=site.node.name,
        address=site.node.address,
        network=site.network,
        cgroups=CgroupMode(),
    )


def _phase(name: str, *words: str, files: tuple[str, ...]) -> GuardedCommand:
    """A kubeadm phase that writes files, and whose undo removes exactly these."""
    return GuardedCommand(
        name=f"kubeadm {name}",
        argv=(f"{BIN}/kubeadm", "init", "phase", *words, "--config", CONFIG),
        done_when=FilesPresent(files),
        timeout=120,
        undo_argv=("rm", "-f", "--", *files),
    )


def _files() -> Iterator[Resource]:
    """The phases that need nothing running. kubelet-start runs before there is a unit it could start."""
    for path in (HOME, f"{HOME}/pki", f"{HOME}/manifests", "/var/lib/kubelet"):
        yield Directory(path, mode=0o700 if path == f"{HOME}/manifests" else 0o755)
    yield _phase("certs", "certs", "all", files=CERTIFICATES)
    yield _phase("kubeconfig", "kubeconfig", "all", files=KUBECONFIGS)
    yield _phase("control-plane", "control-plane", "all", files=STATIC_PODS)
    yield _phase("kubelet-start", "kubelet-start", files=KUBELET)


def _records(site: Site, node: Ref) -> Iterator[Resource]:
    """The phases that write into the running cluster."""

    def phase(name: str, *words: str, done_when: Fact[bool]) -> GuardedCommand:
        return GuardedCommand(
            name=f"kubeadm {name}",
            argv=(f"{BIN}/kubeadm", "init", "phase", *words, "--config", CONFIG),
            done_when=done_when,
            timeout=120,
            undo=RECORD,
            inside="cluster",
        )

    kubeadm_config = Ref(CONFIG_MAPS, "kubeadm-config", "kube-system")
    yield phase("upload-config", "upload-config", "all", done_when=ObjectPresent(kubeadm_config))
    label = "node-role.kubernetes.io/control-plane"
    yield phase("mark-control-plane", "mark-control-plane", done_when=HasLabel(node, label))
    yield phase(
        "kubelet-finalize",
        *("kubelet-finalize", "all"),
        done_when=FileContains(f"{HOME}/kubelet.conf", "/var/lib/kubelet/pki/kubelet-client-current.pem"),
    )
    kube_proxy = Ref(DAEMON_SETS, "kube-proxy", "kube-system")
    yield phase("kube-proxy", "addon", "kube-proxy", done_when=ObjectPresent(kube_proxy))
