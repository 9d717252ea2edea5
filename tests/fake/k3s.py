"""A server on which K3s is installed from its release: what a test's stand-in for it does to the machine.

K3s itself was not at hand when this was written. What it leaves is taken from its own clean-up scripts and sources,
not from looking at one that ran.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import yaml

from installers.core.artifacts.reference import without_tag
from installers.core.artifacts.releases import released
from installers.core.model import Kind, Ref
from installers.site import Paths
from tests.fake.commands import Call
from tests.fake.debian12 import images_in, rolled_out
from tests.fake.machine import FakeMachine
from tests.fake.network import Link
from tests.fake.todays_kubernetes import upstream_server
from tests.fake.tree import Mount

PATHS = Paths()
HOME = "/etc/rancher/k3s"
DATA = "/var/lib/rancher/k3s"
PODS = "/sys/fs/cgroup/kubepods.slice"
SHIMS = (8101, 8102)
NODE = Ref(Kind("v1", "Node", "nodes", namespaced=False), "node1")
READS = ("config.yaml", "token", "agent-token")
PRIVATE = {f"{HOME}/k3s.yaml", "/etc/rancher/node/password", f"{DATA}/server/token", f"{DATA}/server/db/state.db"}
WRITES = (
    *sorted(PRIVATE),
    f"{DATA}/server/manifests/coredns.yaml",
    f"{DATA}/agent/client-ca.crt",
    f"{DATA}/agent/containerd/meta.db",
    f"{DATA}/agent/etc/containerd/config.toml",
    f"{DATA}/agent/images/.cache.json",
    f"{DATA}/data/current/bin/containerd-shim-runc-v2",
    "/run/k3s/containerd/containerd.sock",
    "/run/flannel/subnet.env",
    "/var/lib/kubelet/pki/kubelet.crt",
    "/var/lib/cni/networks/cbr0/10.233.64.2",
    "/var/log/pods/kube-system_coredns/0.log",
    "/var/log/containers/coredns.log",
)
MOUNTS = (
    "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/1/rootfs",
    "/var/lib/kubelet/pods/1/volumes/kubernetes.io~local-volume/data",
)


def upstream_host() -> FakeMachine:
    """The server, nothing of ours on it yet."""
    machine = upstream_server()
    units = machine.units
    units.reads["k3s.service"] = (*(f"{HOME}/{name}" for name in READS), "/usr/local/bin/k3s")
    units.on_start["k3s.service"] = _up
    units.on_stop["k3s.service"] = lambda machine: setattr(machine.cluster, "up", False)
    machine.commands["kill",] = kill
    machine.cluster.defaults |= dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet"), lambda item: _pulled(machine, item)
    )
    machine.tree.last |= {
        f"{DATA}/server/db/state.db": machine.cluster.objects.clear,
        f"{DATA}/agent/containerd/meta.db": machine.images.clear,
    }
    return machine


def kill(machine: FakeMachine, call: Call) -> Iterator[None]:
    """Ends processes by number: shims that outlived the service, and pods."""
    yield
    pids = call.argv[call.argv.index("--") + 1 :]
    machine.units.kill(*pids)
    path = f"{PODS}/cgroup.procs"
    if machine.tree.exists(path) and set(machine.tree.text(path).split()) <= set(pids):
        machine.tree.unlink(path)


def _up(machine: FakeMachine) -> None:
    tree = machine.tree
    config: dict[str, Any] = yaml.safe_load(tree.text(f"{HOME}/config.yaml"))
    own = "container-runtime-endpoint" not in config
    _require(machine, config)
    left_out = {f"{DATA}/server/db/state.db"} if "datastore-endpoint" in config else set()
    for path in WRITES:
        if not tree.exists(path) and path not in left_out and (own or "containerd" not in path):
            tree.file(path, secrets.token_hex(), mode=0o600 if path in PRIVATE else 0o644)
    for point in MOUNTS:
        if not tree.exists(point) and (own or "containerd" not in point):
            tree.directory(point)
            tree.mounts.append(Mount(point, "overlay", "overlay"))
    # Whose containerd started them holds the shims in its group.
    machine.units.survivors = {"k3s.service" if own else "containerd.service": SHIMS}
    tree.file(f"{PODS}/cgroup.procs", "8201\n8202\n")
    for key, value in {"vm/overcommit_memory": 1, "kernel/panic": 10, "kernel/panic_on_oops": 1}.items():
        tree.file(f"/proc/sys/{key}", f"{value}\n")
    _network(machine, flannel=own)
    machine.cluster.up = True
    if own:
        _preloaded(machine)
    _objects(machine)


def _preloaded(machine: FakeMachine) -> None:
    """K3s's own images, whose archive is a stand-in, and those of every other archive beside it."""
    machine.images |= {f"docker.io/rancher/{name}:1": "sha256:" for name in ("coredns", "local-path-provisioner")}
    for name in machine.tree.names(f"{DATA}/agent/images"):
        if name.endswith(".tar"):
            machine.images |= images_in(machine.tree.read(f"{DATA}/agent/images/{name}"))


def _require(machine: FakeMachine, config: dict[str, Any]) -> None:
    """What K3s cannot start without, or would go and fetch."""
    tree = machine.tree
    for name in READS:
        if tree.get(f"{HOME}/{name}", follow=True).mode != 0o600:
            raise AssertionError(f"{HOME}/{name} is there for everybody to read")
    if config["token-file"] != f"{HOME}/token" or len(tree.text(config["token-file"])) < 40:
        raise AssertionError("K3s was started without its token")
    if tree.get("/usr/local/bin/k3s", follow=True).mode != 0o755:
        raise AssertionError("k3s cannot be executed")
    if "container-runtime-endpoint" in config:
        needed = [config["container-runtime-endpoint"].removeprefix("unix://"), "/etc/cni/net.d/10-olares.conflist"]
    else:
        needed = [f"{DATA}/agent/images/{released('k3s-images', arch='amd64').file.file}"]
    if "datastore-endpoint" in config:
        needed += [config[f"datastore-{name}"] for name in ("cafile", "certfile", "keyfile")]
        if "etcd.service" not in machine.units.running:
            raise AssertionError("K3s was started before its datastore")
    if missing := [path for path in needed if not tree.exists(path)]:
        raise AssertionError(f"K3s was started before {missing}")


def _network(machine: FakeMachine, *, flannel: bool) -> None:
    network = machine.network
    for name, kind in {"cni0": "bridge", "flannel.1": "vxlan", "vetha1b2c3d4": "veth"}.items():
        if flannel or "flannel" not in name:
            network.links.setdefault(name, Link(name, kind, True))
    if "cni-1" not in network.netns:
        network.netns.append("cni-1")
        network.ipsets += ["KUBE-DST-2FAIROM5ONHMJBUN", "kube-router-local-pods"]
    for wall in (network.v4, network.v6):
        for table, chain in (("filter", "KUBE-ROUTER-FORWARD"), ("nat", "FLANNEL-POSTRTG"), ("nat", "KUBE-SERVICES")):
            wall.table(table).setdefault(chain, ["-j RETURN"])
        if (jump := "-m comment --comment flanneld -j FLANNEL-POSTRTG") not in wall.table("nat")["POSTROUTING"]:
            wall.table("nat")["POSTROUTING"].append(jump)


def _pulled(machine: FakeMachine, item: dict[str, Any]) -> None:
    """K3s's containerd gets images from registries where it has none, and pods run."""
    template = item["spec"]["template"]["spec"]
    for container in (*template.get("initContainers", ()), *template["containers"]):
        name = without_tag(container["image"])
        if name not in machine.images and (container.get("imagePullPolicy") == "Never" or not machine.registries):
            raise AssertionError(f"nobody brings {container['image']}")
        machine.images.setdefault(name, f"sha256:{container['image']}")
    rolled_out(machine, item)


def _objects(machine: FakeMachine) -> None:
    """The node, and what K3s deploys by itself."""
    cluster = machine.cluster
    if cluster.get(NODE) is not None:
        return
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}, "k3s")
    cluster.objects[("v1", "Node", "", "node1")]["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    for name in ("coredns", "local-path-provisioner"):
        pods = {"hostNetwork": True, "containers": [{"name": name, "image": f"docker.io/rancher/{name}:1"}]}
        cluster.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": "kube-system"},
                "spec": {"template": {"spec": pods}},
            },
            "deploy@node1",
        )
    machine.tree.file(f"{PATHS.volumes}/os-platform/data/file", "the user's\n")
