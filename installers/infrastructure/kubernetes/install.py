"""The control plane: programs, kubeadm phase by phase, the kubelet, kube-proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from installers.core.component.values import Values
from installers.core.facts.identity import KubeletResolvConf
from installers.core.facts.platform import CgroupMode
from installers.core.facts.results import FileContains, FilesPresent, HasLabel, NodeReady, ObjectsPresent
from installers.core.model import Fact, Footprint, Kind, Ref, Resource
from installers.core.resources.artifacts import Binary
from installers.core.resources.command import GuardedCommand
from installers.core.resources.files import Block, Directory, File, Symlink
from installers.core.resources.packages import Packages
from installers.core.resources.templates import Template
from installers.core.resources.units import Unit
from installers.core.resources.wait import Rollout, Wait
from installers.infrastructure.kubernetes import upstream
from installers.infrastructure.kubernetes.kubeadm import EMBEDDED, HOME, TODAY, Kubeadm
from installers.site import Site

BIN = "/usr/local/bin"
CONFIG = "/etc/olares/kubeadm.yaml"
ENDPOINT = "api.olares.internal"
"""The API server's name on this node: what kubeconfigs and certificates carry instead of an address."""

CERTIFICATES = ("ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", "sa")
"""Each a kubeadm phase of its own: two files, and a rerun refuses half a pair."""
SIGNED = ("apiserver", "apiserver-kubelet-client", "front-proxy-client")
"""Those made anew when one half is lost. Of an authority the other half is what the cluster trusts: it stays."""

STATIC_PODS = tuple(f"{HOME}/manifests/kube-{name}.yaml" for name in ("apiserver", "controller-manager", "scheduler"))
CONFIG_MAPS = Kind("v1", "ConfigMap", "configmaps")
DAEMON_SETS = Kind("apps/v1", "DaemonSet", "daemonsets")
ROLE_BINDINGS = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE_BINDINGS = Kind(
    "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
NODES = Kind("v1", "Node", "nodes", namespaced=False)
RECORD = "it is the cluster's own record and goes with the cluster"

FOOTPRINT = Footprint(
    trees=("/var/lib/kubelet", "/var/log/pods", "/var/log/containers", "/var/lib/cni", "/usr/libexec/kubernetes"),
    mounts=("/var/lib/kubelet/", "/run/netns/cni-"),
    links=("cni0", "veth*"),
    netns=("cni-*",),
    chains=("KUBE-", "CNI-"),
    cgroups=("kubepods*",),
    modules=(
        *("xt_*", "ipt_*", "ip6t_*", "nft_*", "nf_tables", "nf_nat*", "nf_reject_*", "nf_conntrack_*", "nfnetlink"),
        *("ip_vs*", "ip_set*", "veth"),
    ),
    sysctls=(
        *("kernel.panic", "kernel.panic_on_oops", "vm.overcommit_memory", "vm.panic_on_oom"),
        *("kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes", "net.ipv4.conf.all.route_localnet"),
    ),
)
"""What kubelet, CNI plugins and kube-proxy were seen to leave behind."""


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """Everything from programs to a node. The kubelet starts when all it reads is in place."""
    kubeadm = TODAY if site.edition == "upstream" else EMBEDDED
    yield from upstream.programs(site, values) if kubeadm is TODAY else _programs(site, values)
    yield Block("/etc/hosts", "olares", f"127.0.0.1 {ENDPOINT}\n")
    yield File(CONFIG, _configuration(site, values, kubeadm), mode=0o600)
    if kubeadm is TODAY and not site.signed:
        # A bundle's are imported before any of this.
        yield upstream.images(values, CONFIG)
    yield from _files(kubeadm)
    yield Unit(
        "kubelet.service",
        content=Template("kubelet.service.j2", program=f"{BIN}/kubelet"),
        restart_on=[f"{BIN}/kubelet" if kubeadm is TODAY else f"{BIN}/kube"],
        footprint=FOOTPRINT if kubeadm is EMBEDDED else upstream.with_calico(FOOTPRINT),
    )
    node = Ref(NODES, site.node.name)
    yield Wait("the node is registered", ObjectsPresent((node,)), deadline=180)
    yield from _records(kubeadm, node)
    yield Rollout(Ref(DAEMON_SETS, "kube-proxy", "kube-system"), deadline=180)
    if kubeadm is EMBEDDED:
        # Today's becomes so when Calico runs, which comes after this.
        yield Wait("the node is Ready", NodeReady(site.node.name), deadline=180)


def _programs(site: Site, values: Values) -> Iterator[Resource]:
    """One program with many names, and kubeadm."""
    # nftables: kube-proxy's iptables leave empty tables behind that only nft can delete.
    yield Packages("iptables", "ebtables", "ethtool", "socat", "conntrack", "nftables")
    yield Binary(f"{BIN}/kube", values.builds["build"], site.paths, "kube")
    yield Binary(f"{BIN}/kubeadm", values.builds["build"], site.paths, "kubeadm")
    for name in ("kubelet", "kubectl"):
        yield Symlink(f"{BIN}/{name}", "kube")


def _configuration(site: Site, values: Values, kubeadm: Kubeadm) -> Template:
    """kubeadm's file. kubeadm makes all images' references out of the repository and the version of one."""
    repository, _, image = values.images["kube-proxy"].rpartition("/")
    return Template(
        "kubeadm.yaml.j2",
        kubeadm=kubeadm,
        repository=repository,
        version=image.rpartition(":")[2],
        endpoint=ENDPOINT,
        node=site.node.name,
        address=site.node.address,
        network=site.network,
        offline=site.edition == "debian" or site.signed,
        cgroups=CgroupMode(),
        resolv_conf=KubeletResolvConf(),
    )


def _phase(name: str, *words: str, files: tuple[str, ...]) -> GuardedCommand:
    """A kubeadm phase that writes files. Cut off, it may leave half of them or a torn one: it starts over."""
    remove = ("rm", "-f", "--", *files)
    return GuardedCommand(
        name=f"kubeadm {name}",
        argv=(f"{BIN}/kubeadm", "init", "phase", *words),
        done_when=FilesPresent(files),
        timeout=120,
        undo_argv=remove,
        recover_argv=remove,
    )


def _files(kubeadm: Kubeadm) -> Iterator[Resource]:
    """The phases that need nothing running. kubelet-start runs before there is a unit it could start."""
    # The last is what kube-proxy's pod mounts; the runtime makes it where there is none.
    for path in (HOME, f"{HOME}/pki", f"{HOME}/manifests", "/var/lib/kubelet", "/usr/lib/modules"):
        yield Directory(path, mode=0o700 if path == f"{HOME}/manifests" else 0o755)
    for name in CERTIFICATES:
        ends = ("key", "pub") if name == "sa" else ("key", "crt")
        # Of all phases only that of the service accounts' key once took no configuration file.
        where = ("--cert-dir", f"{HOME}/pki") if name == "sa" and kubeadm is EMBEDDED else ("--config", CONFIG)
        files = tuple(f"{HOME}/pki/{name}.{end}" for end in ends)
        phase = _phase(f"certs {name}", "certs", name, *where, files=files)
        yield replace(phase, clear_argv=phase.undo_argv) if name in SIGNED else phase
    yield _phase("kubeconfig", "kubeconfig", "all", "--config", CONFIG, files=kubeadm.kubeconfigs)
    yield _phase("control-plane", "control-plane", "all", "--config", CONFIG, files=STATIC_PODS)
    yield _phase("kubelet-start", "kubelet-start", "--config", CONFIG, files=kubeadm.settings)


def _records(kubeadm: Kubeadm, node: Ref) -> Iterator[Resource]:
    """The phases that write into the running cluster; each is done when the last it writes is there."""

    def phase(name: str, *words: str, done_when: Fact[bool], recover: tuple[str, ...] = ()) -> GuardedCommand:
        return GuardedCommand(
            name=f"kubeadm {name}",
            argv=(f"{BIN}/kubeadm", "init", "phase", *words, "--config", CONFIG),
            done_when=done_when,
            timeout=120,
            undo=RECORD,
            inside="cluster",
            recover_argv=recover,
        )

    def system(kind: Kind, name: str) -> Ref:
        return Ref(kind, name, "kube-system")

    uploaded = (
        system(CONFIG_MAPS, "kubeadm-config"),
        system(CONFIG_MAPS, kubeadm.shared),
        system(ROLE_BINDINGS, f"kubeadm:{kubeadm.shared}"),
        # What gives admin.conf its rights; the first phase that asks the API server writes it as super-admin.conf.
        *([Ref(CLUSTER_ROLE_BINDINGS, "kubeadm:cluster-admins")] if kubeadm is TODAY else []),
    )
    yield phase("upload-config", "upload-config", "all", done_when=ObjectsPresent(uploaded))
    label = "node-role.kubernetes.io/control-plane"
    yield phase("mark-control-plane", "mark-control-plane", done_when=HasLabel(node, label))
    yield phase(
        "kubelet-finalize",
        *("kubelet-finalize", "all"),
        done_when=FileContains(f"{HOME}/kubelet.conf", "/var/lib/kubelet/pki/kubelet-client-current.pem"),
        # It writes the file and then restarts the kubelet.
        recover=("systemctl", "try-restart", "kubelet.service"),
    )
    proxy = (
        system(DAEMON_SETS, "kube-proxy"),
        system(CONFIG_MAPS, "kube-proxy"),
        system(ROLE_BINDINGS, "kube-proxy"),
    )
    yield phase("kube-proxy", "addon", "kube-proxy", done_when=ObjectsPresent(proxy))
