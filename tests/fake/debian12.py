"""A Debian 12 server as the real install meets it: what its packages, kubeadm, the kubelet and pods do to a machine."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import secrets
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from installers.core.artifacts.cache import Cache
from installers.core.artifacts.index import pinned
from installers.core.artifacts.oci.planned import FOLDER
from installers.core.artifacts.recipes import IMAGE, Planned, plan
from installers.core.artifacts.reference import without_tag
from installers.core.facts.artifacts import Built, BuiltFile, parse_built
from installers.core.model import Kind, Ref
from installers.site import Paths
from tests.fake.commands import Call
from tests.fake.crash import Injector
from tests.fake.debian import debian
from tests.fake.host import STAND_IN
from tests.fake.machine import FakeMachine
from tests.fake.network import Link
from tests.fake.packages import Package
from tests.fake.tree import Mount

PATHS = Paths()
CONTAINERD = f"{PATHS.state}/containerd"
ETCD = f"{PATHS.state}/etcd"
KUBEPODS = "/sys/fs/cgroup/kubepods"
NODE = Ref(Kind("v1", "Node", "nodes", namespaced=False), "node1")
PROC = {
    "/proc/sys/kernel/arch": "x86_64\n",
    "/proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n"
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\n",
    "/proc/self/status": "Name:\tpython3\nUid:\t0\t0\t0\t0\nCapBnd:\t000001ffffffffff\n",
    "/proc/1/comm": "systemd\n",
    "/dev/kmsg": "",
    "/etc/resolv.conf": "nameserver 192.0.2.53\n",
    "/proc/filesystems": "nodev\tproc\nnodev\tcgroup2\n\text4\n",
    "/proc/sys/vm/panic_on_oom": "0\n",
    "/proc/sys/kernel/keys/root_maxkeys": "1000000\n",
    "/proc/sys/kernel/keys/root_maxbytes": "25000000\n",
    "/proc/sys/net/ipv4/conf/all/route_localnet": "0\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
    "/lib/modules/6.1.0-18-amd64/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
    "/lib/modules/6.1.0-18-amd64/modules.dep": "".join(
        f"kernel/{name}.ko:\n" for name in ("fs/overlay", "net/br_netfilter", "net/nf_conntrack")
    ),
}
ARCHIVE = (
    Package("ethtool", "1:6.1-1", files={"/usr/sbin/ethtool": "ethtool"}),
    Package("nftables", "1.0.6-2+deb12u2", files={"/usr/sbin/nft": "nft"}),
    Package("buildah", "1.28.2+ds1-3", depends=("crun",), files={"/usr/bin/buildah": "buildah"}),
    Package("crun", "1.8.1-1", files={"/usr/bin/crun": "crun"}),
    Package("mmdebstrap", "1.3.5-7", files={"/usr/bin/mmdebstrap": "mmdebstrap"}),
)


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """What a release's kubeadm and kubelet do. ``image``: the reference of a part of it, by its name.
    ``extra``: what a phase writes besides. ``shared``: the kubelets' ConfigMap.
    ``bound``: the ClusterRoleBinding that gives admin.conf its rights. ``without_config``: phases that take no
    configuration. ``reads``: what a running kubelet has loaded. ``network``: CNI configuration there before it.
    """

    image: str
    shared: str
    extra: Mapping[str, tuple[str, ...]]
    bound: str
    without_config: tuple[str, ...]
    reads: tuple[str, ...]
    network: tuple[str, ...]


EMBEDDED = Kubernetes(
    "olares.local/kube-{name}:v1.20.2",
    *("kubelet-config-1.20", {}, "", ("certs sa",), ("/usr/local/bin/kube",)),
    ("/etc/cni/net.d/10-olares.conflist",),
)


def debian12(kubernetes: Kubernetes = EMBEDDED) -> FakeMachine:
    """The server, nothing of ours on it yet."""
    machine = debian()
    for path, text in PROC.items():
        machine.tree.file(path, text)
    machine.tree.directory("/sys/module")
    machine.tree.mounts.append(Mount("/sys/fs/cgroup", "cgroup2", "cgroup2"))
    machine.dpkg.offer(*ARCHIVE)
    machine.kernel.available = {"overlay", "br_netfilter", "nf_conntrack"}
    units = machine.units
    units.reads["containerd.service"] = ("/etc/olares/containerd.toml",)
    units.reads["etcd.service"] = tuple(f"/etc/olares/pki/etcd/{name}.crt" for name in ("ca", "server"))
    units.reads["kubelet.service"] = (*kubernetes.reads, "/var/lib/kubelet/config.yaml")
    units.on_start |= {"containerd.service": containerd_up, "etcd.service": _etcd_up}
    units.on_start["kubelet.service"] = partial(_kubelet_up, kubernetes)
    units.on_stop["etcd.service"] = lambda machine: setattr(machine.cluster, "up", False)
    machine.commands |= {("unshare",): worker, ("rm",): rm, ("kill",): kill}
    machine.commands["kubeadm",] = partial(kubeadm, kubernetes)
    _attach(machine)
    return machine


def _attach(machine: FakeMachine) -> None:
    """What happens to one part of this machine when another changes."""
    machine.tree.last |= {
        f"{CONTAINERD}/meta.db": machine.images.clear,
        f"{ETCD}/member/snap/db": machine.cluster.objects.clear,
    }
    machine.cluster.defaults |= dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet"), lambda item: rolled_out(machine, item)
    )


def copied(machine: FakeMachine) -> FakeMachine:
    """The same machine once more, as it is at this moment, with no crash ahead of it."""
    twin = copy.deepcopy(machine, {id(machine.lock): threading.RLock()})
    twin.crash = Injector()
    _attach(twin)
    return twin


# the services


def containerd_up(machine: FakeMachine) -> None:
    machine.tree.file("/run/containerd/containerd.sock", "")
    machine.tree.directory("/opt/containerd/bin")
    machine.tree.file(f"{CONTAINERD}/meta.db", "images\n")


def _etcd_up(machine: FakeMachine) -> None:
    uid, gid = (int(field) for field in machine.users.rows("/etc/passwd")["etcd"][2:4])
    if (data := machine.tree.get(ETCD, follow=True)).uid != uid or data.mode != 0o700:
        raise AssertionError("etcd was started on a directory it cannot write to")
    for part in ("member", "member/snap"):
        machine.tree.directory(f"{ETCD}/{part}", mode=0o700, uid=uid, gid=gid)
    machine.tree.file(f"{ETCD}/member/snap/db", "objects\n", mode=0o600, uid=uid, gid=gid)
    _control_plane(machine)


def _control_plane(machine: FakeMachine) -> None:
    """The API answers while etcd runs and the kubelet's pods do."""
    running = {"containerd.service", "etcd.service"} <= machine.units.running.keys()
    machine.cluster.up = running and machine.tree.exists(f"{KUBEPODS}/cgroup.procs")


def _kubelet_up(kubernetes: Kubernetes, machine: FakeMachine) -> None:
    """What the kubelet was seen to write, its pods, and its node in the cluster."""
    tree = machine.tree
    for path in ("/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet.conf", *kubernetes.network):
        if not tree.exists(path):
            raise AssertionError(f"the kubelet was started before {path}")
    for key, value in {"vm/overcommit_memory": 1, "kernel/panic": 10, "kernel/panic_on_oops": 1}.items():
        tree.file(f"/proc/sys/{key}", f"{value}\n")
    tree.file("/var/lib/kubelet/cpu_manager_state", "{}\n", mode=0o600)
    if not tree.exists("/var/lib/kubelet/pki/kubelet-client-current.pem"):
        tree.file("/var/lib/kubelet/pki/kubelet-client-current.pem", secrets.token_hex(), mode=0o600)
    machine.network.v4.table("filter").setdefault("KUBE-FIREWALL", ["-j DROP"])
    tree.file(f"{KUBEPODS}/cgroup.procs", "7001\n7002\n")
    for name in ("apiserver", "controller-manager", "scheduler"):
        if not tree.exists(f"/etc/kubernetes/manifests/kube-{name}.yaml"):
            raise AssertionError(f"the kubelet was started before kube-{name}'s manifest")
        _needs_image(machine, kubernetes.image.format(name=name))
        _pod(machine, f"kube-{name}")
    _control_plane(machine)
    if machine.cluster.up and machine.cluster.get(NODE) is None:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "node1", "labels": {"kubernetes.io/os": "linux"}},
        }
        machine.cluster.apply(node, "kubelet")
        machine.cluster.objects[("v1", "Node", "", "node1")]["status"] = {
            "conditions": [{"type": "Ready", "status": "True" if kubernetes.network else "False"}]
        }


def pulled(machine: FakeMachine, reference: str) -> None:
    """The runtime gets an image from its registry where it has none; of one with a digest it drops the tag."""
    if machine.registries:
        machine.images.setdefault(without_tag(reference), f"sha256:{secrets.token_hex(32)}")


def _needs_image(machine: FakeMachine, reference: str) -> None:
    if without_tag(reference) not in machine.images:
        raise AssertionError(f"a pod needs {reference}, which is not there")


def _pod(machine: FakeMachine, name: str) -> None:
    """What a pod leaves on its node."""
    tree = machine.tree
    tree.file(f"/var/log/pods/{name}/0.log", "started\n", mode=0o640)
    tree.directory("/var/log/containers")
    tree.directory(f"/var/lib/kubelet/pods/{name}/volumes")
    point = f"/var/lib/kubelet/pods/{name}/volumes/token"
    if not tree.exists(point):
        tree.directory(point)
        tree.mounts.append(Mount(point, "tmpfs", "tmpfs"))


def _networked_pod(machine: FakeMachine, name: str) -> None:
    """A pod with an address of its own, by the bridge plugin."""
    _pod(machine, name)
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    links = machine.network.links
    links.setdefault("cni0", Link("cni0", "bridge", True, ["10.233.64.1/24"]))
    links.setdefault(f"veth{mark}", Link(f"veth{mark}", "veth", True))
    if f"cni-{mark}" not in machine.network.netns:
        machine.network.netns.append(f"cni-{mark}")
    chains = machine.network.v4.table("nat")
    chains.setdefault(f"CNI-{mark}", ["-j ACCEPT"])
    if (jump := f"-j CNI-{mark}") not in chains["POSTROUTING"]:
        chains["POSTROUTING"].append(jump)
    machine.tree.file(f"/var/lib/cni/networks/olares/{mark}", name)


def rolled_out(machine: FakeMachine, item: dict[str, Any]) -> None:
    """The controllers' work on a new workload: pods run, claims have their volumes."""
    metadata, spec = item["metadata"], item["spec"]
    template = spec["template"]["spec"]
    for container in (*template.get("initContainers", ()), *template["containers"]):
        if container.get("imagePullPolicy") == "IfNotPresent":
            pulled(machine, container["image"])
        _needs_image(machine, container["image"])
    if metadata["name"] == "calico-node":
        _calico(machine)
    make = _pod if template.get("hostNetwork") else _networked_pod
    make(machine, f"{metadata['namespace']}_{metadata['name']}")
    for claim in spec.get("volumeClaimTemplates", ()):
        name = f"{claim['metadata']['name']}-{metadata['name']}-0"
        machine.tree.file(f"{PATHS.volumes}/{metadata['namespace']}/{name}/data", "the user's\n")
    metadata["generation"] = 1
    item["status"] = {
        "observedGeneration": 1,
        **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), 1),
        **dict.fromkeys(("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"), 1),
    }


def _calico(machine: FakeMachine) -> None:
    """What its documentation and sources have it leave on a node, whose network is there from then on."""
    for path in ("/etc/cni/net.d/10-calico.conflist", "/etc/cni/net.d/calico-kubeconfig", "/opt/cni/bin/calico"):
        machine.tree.file(path, "calico's\n", mode=0o600)
    for path in ("/var/lib/calico", "/run/calico", "/var/log/calico", "/run/nodeagent"):
        machine.tree.directory(path)
    machine.tree.file("/var/lib/calico/nodename", "node1")
    machine.network.links.setdefault("vxlan.calico", Link("vxlan.calico", "vxlan", True))
    machine.network.links.setdefault("cali0123456789a", Link("cali0123456789a", "veth", True))
    machine.network.v4.table("filter").setdefault("cali-INPUT", ["-j ACCEPT"])
    machine.cluster.objects["v1", "Node", "", "node1"]["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}


# the programs


def rm(machine: FakeMachine, call: Call) -> Iterator[None]:
    for path in call.argv[call.argv.index("--") + 1 :]:
        if machine.tree.find(path, follow=False):
            machine.tree.unlink(path)
            yield


def kill(machine: FakeMachine, call: Call) -> Iterator[None]:
    """Ends the pods' processes; a cgroup's files are no entries that keep it from being removed."""
    yield
    machine.tree.unlink(f"{KUBEPODS}/cgroup.procs")
    machine.cluster.up = False


def worker(machine: FakeMachine, call: Call) -> Iterator[None]:
    """``python3 -m installers.core.artifacts``, apart in its namespaces: fills the cache and the ledger."""
    words = call.argv[call.argv.index("installers.core.artifacts") + 1 :]
    verb, name, digest = (word for word in words if not word.startswith("--"))
    cache = Cache(Path(PATHS.cache), Path(PATHS.built))
    if verb == "fetch":
        yield from _fetch(machine, name, digest)
        return
    if verb == "bring":
        places = [word.partition("=")[2] for word in words if word.startswith("--place=")]
        yield from bring(machine, places, json.loads(digest))
        return
    if verb == "take":
        yield from take(machine, cache, json.loads(digest))
        return
    for program in ("buildah", "mmdebstrap"):
        if not machine.tree.exists(f"/usr/bin/{program}"):
            raise AssertionError(f"a build began before {program} was there")
    planned = plan(name, release="bookworm", arch="amd64")
    if planned.key != digest:
        raise AssertionError(f"{name} is not the recipe that was planned")
    yield from _build(machine, cache, planned)


def _fetch(machine: FakeMachine, name: str, digest: str) -> Iterator[None]:
    pin = pinned(name, arch="amd64")
    if pin.file.sha256 != digest:
        raise AssertionError(f"{name} is not the file that was planned")
    machine.tree.file(f"{PATHS.cache}/{pin.entry}.part", "half")
    yield
    machine.tree.unlink(f"{PATHS.cache}/{pin.entry}.part")
    machine.tree.file(f"{PATHS.cache}/{pin.entry}", STAND_IN + f"{digest} {pin.file.size}".encode())
    yield


def bring(machine: FakeMachine, places: list[str], work: dict[str, Any]) -> Iterator[None]:
    """A web server's address is here the folder it serves."""
    for path, sha256, _ in work["files"]:
        content = machine.tree.read(f"{places[0]}/{path}")
        if hashlib.sha256(content).hexdigest() != sha256:
            raise AssertionError(f"{path} is not what was signed")
        machine.tree.file(f"{work['folder']}/{path}.part", "half")
        yield
        machine.tree.unlink(f"{work['folder']}/{path}.part")
        machine.tree.file(f"{work['folder']}/{path}", content)
    yield


def take(machine: FakeMachine, cache: Cache, work: dict[str, Any]) -> Iterator[None]:
    built = parse_built(work["record"]) if work["record"] else None
    if built:
        machine.tree.file(str(cache.record_path(built.recipe, built.key)), work["record"], mode=0o600)
        yield
    for source, entry, sha256, _ in work["files"]:
        content = machine.tree.read(source)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise AssertionError(f"{source} is not what was signed")
        machine.tree.file(f"{PATHS.cache}/{entry}", content)
        if built and built.file(entry.rpartition("/")[2]).image:
            machine.archives[f"{PATHS.cache}/{entry}"] = _carried(built, content)
    yield


def _carried(built: Built, content: bytes) -> dict[str, str]:
    """What an import of an archive brings: of a registry's image, which is a real one, what stands in it."""
    if built.recipe.startswith(f"{FOLDER}/"):
        return images_in(content)
    recipe = plan(built.recipe, release="bookworm", arch="amd64").recipe
    return dict.fromkeys((recipe.reference, *recipe.aliases), built.files[0].image)


def images_in(archive: bytes) -> dict[str, str]:
    """Digest by name, as containerd's import reads an OCI archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        content = found.extractfile("index.json")
        rows = json.loads(content.read())["manifests"] if content else []
    return {row["annotations"]["io.containerd.image.name"]: row["digest"] for row in rows}


def _build(machine: FakeMachine, cache: Cache, planned: Planned) -> Iterator[None]:
    record = str(cache.record_path(planned.name, planned.key))
    folder = f"{PATHS.cache}/{cache.folder(planned.name, planned.key)}"
    if machine.tree.exists(record) and all(machine.tree.exists(f"{folder}/{name}") for name in planned.recipe.makes):
        return
    for used in planned.uses:
        yield from _build(machine, cache, used)
    recipe, files = planned.recipe, []
    content = {name: f"{planned.name} {planned.key} {name}\n" for name in recipe.makes}
    for name, text in content.items():
        digest = hashlib.sha256(text.encode()).hexdigest()
        files.append(BuiltFile(name, digest, len(text), f"sha256:{digest}" if name == IMAGE else ""))
    built = Built(planned.name, planned.key, tuple(files), 1.0, 1795341600.0)
    yield
    machine.tree.file(record, json.dumps(asdict(built)), mode=0o600)
    yield
    for name, text in content.items():
        machine.tree.file(f"{folder}/{name}", text)
    if recipe.reference:
        names = (recipe.reference, *recipe.aliases)
        machine.archives[f"{folder}/{IMAGE}"] = dict.fromkeys(names, files[0].image)
    yield


PAIRS = ("ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client")


def kubeadm(kubernetes: Kubernetes, machine: FakeMachine, call: Call) -> Iterator[None]:
    """``kubeadm init phase ...``; what is there already it leaves as it is."""
    if not machine.tree.exists("/usr/local/bin/kubeadm") or not machine.tree.exists(call.argv[-1]):
        raise AssertionError("kubeadm was run before it and its configuration were there")
    if call.argv[1:4] == ["config", "images", "pull"]:
        yield from _pull(kubernetes, machine)
        return
    phase = " ".join(call.argv[3:5]) if call.argv[3] == "certs" else call.argv[3]
    if (phase in kubernetes.without_config) == ("--config" in call.argv):
        call.fail(1, "unknown flag: --config, or none where one is needed")
        return
    if phase in FILES:
        files = (*FILES[phase], *((path, 0o600) for path in kubernetes.extra.get(phase, ())))
        there = [machine.tree.exists(path) for path, _ in files]
        if phase.startswith("certs") and any(there) and not all(there):
            call.fail(1, "failure loading certificate: half a pair is there")
            return
        for path, mode in files:
            if not machine.tree.exists(path):
                machine.tree.file(path, f"{path} {secrets.token_hex(8)}\n", mode=mode)
                yield
        return
    if not machine.cluster.up:
        call.fail(1, "error execution phase: the API server does not answer")
        return
    yield
    yield from _record(kubernetes, machine, phase)


def _pull(kubernetes: Kubernetes, machine: FakeMachine) -> Iterator[None]:
    if "containerd.service" not in machine.units.running or not machine.registries:
        raise AssertionError("images were pulled before there was a runtime, or with nobody to pull them from")
    for name in ("apiserver", "controller-manager", "scheduler", "proxy"):
        machine.images.setdefault(kubernetes.image.format(name=name), f"sha256:{secrets.token_hex(32)}")
        yield


FILES = {
    **{
        f"certs {name}": ((f"/etc/kubernetes/pki/{name}.key", 0o600), (f"/etc/kubernetes/pki/{name}.crt", 0o644))
        for name in PAIRS
    },
    "certs sa": (("/etc/kubernetes/pki/sa.key", 0o600), ("/etc/kubernetes/pki/sa.pub", 0o600)),
    "kubeconfig": tuple(
        (f"/etc/kubernetes/{name}.conf", 0o600) for name in ("admin", "kubelet", "controller-manager", "scheduler")
    ),
    "control-plane": tuple(
        (f"/etc/kubernetes/manifests/kube-{name}.yaml", 0o600)
        for name in ("apiserver", "controller-manager", "scheduler")
    ),
    "kubelet-start": (("/var/lib/kubelet/config.yaml", 0o644), ("/var/lib/kubelet/kubeadm-flags.env", 0o644)),
}


def _record(kubernetes: Kubernetes, machine: FakeMachine, phase: str) -> Iterator[None]:
    """The phases that write into the running cluster."""
    cluster = machine.cluster

    def config_map(name: str) -> None:
        metadata = {"name": name, "namespace": "kube-system"}
        cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config": name}}, "kubeadm"
        )

    def role_binding(name: str) -> None:
        metadata = {"name": name, "namespace": "kube-system"}
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
        cluster.apply({**kind, "metadata": metadata}, "kubeadm")

    if kubernetes.bound:
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"}
        cluster.apply({**kind, "metadata": {"name": kubernetes.bound}}, "kubeadm")
        yield
    if phase == "upload-config":
        for name in ("kubeadm-config", kubernetes.shared):
            config_map(name)
            yield
        role_binding(f"kubeadm:{kubernetes.shared}")
    elif phase == "mark-control-plane":
        node = cluster.get(NODE)
        assert node is not None
        node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = ""
    elif phase == "kubelet-finalize":
        path = "/etc/kubernetes/kubelet.conf"
        rotated = "client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"
        machine.tree.file(path, machine.tree.text(path) + rotated, mode=0o600)
        yield
        machine.units.restart("kubelet.service")
    elif phase == "addon":
        config_map("kube-proxy")
        yield
        image = kubernetes.image.format(name="proxy")
        pods = {"hostNetwork": True, "containers": [{"name": "kube-proxy", "image": image}]}
        metadata = {"name": "kube-proxy", "namespace": "kube-system"}
        item = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": metadata,
            "spec": {"template": {"spec": pods}},
        }
        cluster.apply(item, "kubeadm")
        yield
        role_binding("kube-proxy")
        machine.network.v4.table("nat").setdefault("KUBE-SERVICES", ["-j ACCEPT"])
        machine.network.v4.table("nat")["PREROUTING"].append("-j KUBE-SERVICES")
    else:
        raise AssertionError(f"the fake's kubeadm has no phase {phase}")
