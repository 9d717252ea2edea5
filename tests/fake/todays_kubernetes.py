"""The same server with today's Kubernetes from its release: small files of the tests' own stand in for every program.

kubeadm and the kubelet do here what their documentation says; none of them was at hand when this was written.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from installers.core.artifacts.cache import Cache
from installers.core.artifacts.releases import record_name, released
from installers.core.artifacts.upstream import Upstream, upstream
from installers.core.component.load import load
from installers.core.facts.artifacts import Built, BuiltFile
from installers.core.facts.objects import ref_of
from installers.infrastructure.calico.manifest import names
from tests.fake.commands import Call
from tests.fake.debian12 import PATHS, Kubernetes, bring, containerd_up, debian12, take
from tests.fake.machine import FakeMachine

PROXY = load("infrastructure/kubernetes", "upstream").edition.references["kube-proxy"]
TODAY = Kubernetes(
    image=PROXY.replace("/kube-proxy:", "/kube-{name}:"),
    shared="kubelet-config",
    extra={
        "kubeconfig": ("/etc/kubernetes/super-admin.conf",),
        "kubelet-start": ("/var/lib/kubelet/instance-config.yaml",),
    },
    bound="kubeadm:cluster-admins",
    without_config=(),
    reads=("/usr/local/bin/kubelet",),
    network=(),
)
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "containerd": ("bin/containerd", "bin/containerd-shim-runc-v2", "bin/containerd-stress", "bin/ctr"),
    # tar'ed from inside its folder: every name begins with a dot
    "cni-plugins": tuple(
        f"./{name}"
        for name in ("bandwidth", "bridge", "dhcp", "firewall", "host-local", "loopback", "portmap", "tuning")
    ),
    "etcd": tuple(f"etcd-v3.6.14-linux-amd64/{name}" for name in ("README.md", "etcd", "etcdctl", "etcdutl")),
    "crictl": ("crictl",),
}
"""What the projects' archives hold, as far as it matters; a release not named here is a single program."""


@cache
def content(name: str) -> bytes:
    """The file that stands in for a release's."""
    if name == "calico":
        return calico().encode()
    if name not in MEMBERS:
        return f"{name}\n".encode()
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path in MEMBERS[name]:
            row = tarfile.TarInfo(path)
            row.size = len(program := _program(name, path))
            archive.addfile(row, io.BytesIO(program))
    return target.getvalue()


def calico() -> str:
    """A manifest of the tests' own with the names of Calico's, and of its daemons what our settings touch."""

    def body(kind: str, name: str) -> dict[str, Any]:
        if kind == "ConfigMap":
            return {"data": {"calico_backend": "bird", "veth_mtu": "0"}}
        if kind not in ("DaemonSet", "Deployment"):
            return {"status": {"conditions": None}} if name.startswith("clusternetworkpolicies.") else {}
        controllers: dict[str, Any] = {"name": name, "image": "quay.io/calico/kube-controllers:v3.32.1"}
        probes = {
            "livenessProbe": {"exec": {"command": ["/bin/calico-node", "-felix-live", "-bird-live"]}},
            "readinessProbe": {"exec": {"command": ["/bin/calico-node", "-felix-ready", "-bird-ready"]}},
        }
        node: dict[str, Any] = {
            "name": name,
            "image": "quay.io/calico/node:v3.32.1",
            "env": [{"name": "CALICO_IPV4POOL_IPIP", "value": "Always"}, {"name": "NODENAME", "valueFrom": {}}],
        } | probes
        first = {"name": "install-cni", "image": "quay.io/calico/cni:v3.32.1"}
        before, containers = ([], [controllers]) if kind == "Deployment" else ([first], [node])
        for container in (*before, *containers):
            container["imagePullPolicy"] = "IfNotPresent"
        labels = {"k8s-app": name}
        pod = {"initContainers": before, "containers": containers, "hostNetwork": kind == "DaemonSet"}
        template = {"metadata": {"labels": labels}, "spec": pod}
        return {"spec": {"selector": {"matchLabels": labels}, "template": template}}

    return yaml.safe_dump_all(
        {
            "apiVersion": ref.kind.api_version,
            "kind": ref.kind.name,
            "metadata": {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})},
            **body(ref.kind.name, ref.name),
        }
        for ref in map(ref_of, names())
    )


def _program(name: str, path: str) -> bytes:
    return f"{name} {path}\n".encode()


@cache
def stand_ins(place: str = "") -> Upstream:
    """The index with the digests of the files that stand in."""
    replaced = {
        name: msgspec.structs.replace(
            release,
            files={
                arch: msgspec.structs.replace(file, sha256=hashlib.sha256(content(name)).hexdigest())
                for arch, file in release.files.items()
            },
        )
        for name, release in upstream().releases.items()
    }
    return Upstream(replaced)


def upstream_server() -> FakeMachine:
    """The server, nothing of ours on it yet."""
    machine = debian12(TODAY)
    machine.units.reads["containerd.service"] = ("/etc/olares/containerd.toml", "/usr/local/bin/containerd")
    machine.units.reads["etcd.service"] = (*machine.units.reads["etcd.service"], "/usr/local/bin/etcd")
    machine.commands["unshare",] = fetch
    # Every Debian has these two; what else is needed of the host comes in packages.
    for path in ("/usr/bin/apt-get", "/usr/sbin/ip"):
        machine.tree.file(path, "", mode=0o755)
    machine.units.on_start["containerd.service"] = _containerd_up
    return machine


def _containerd_up(machine: FakeMachine) -> None:
    """containerd 2 also listens for NRI plugins."""
    containerd_up(machine)
    machine.tree.file("/run/nri/nri.sock", "")


def fetch(machine: FakeMachine, call: Call) -> Iterator[None]:
    """``python3 -m installers.core.artifacts``: a release's file in the cache, its members in the ledger."""
    words = call.argv[call.argv.index("installers.core.artifacts") + 1 :]
    verb, name, digest = (word for word in words if not word.startswith("--"))
    if verb == "bring":
        places = [word.partition("=")[2] for word in words if word.startswith("--place=")]
        yield from bring(machine, places, json.loads(digest))
        return
    if verb == "take":
        cache, supply = Cache(Path(PATHS.cache), Path(PATHS.built)), json.loads(digest)
        yield from take(machine, cache, supply)
        if name in stand_ins().releases:
            _note_members(machine, name, supply["files"][0][2])
            yield
        return
    pin = released(name, arch="amd64")
    if verb != "fetch" or pin.file.sha256 != digest:
        raise AssertionError(f"{verb} {name} {digest} is not what was planned")
    path = f"{PATHS.cache}/{pin.entry}"
    machine.tree.file(f"{path}.part", "half")
    yield
    machine.tree.unlink(f"{path}.part")
    machine.tree.file(path, content(name))
    yield
    _note_members(machine, name, digest)
    yield


def _note_members(machine: FakeMachine, name: str, digest: str) -> None:
    files = [
        BuiltFile(member.removeprefix("./"), hashlib.sha256(_program(name, member)).hexdigest(), 1)
        for member in MEMBERS.get(name, ())
    ]
    record = Cache(Path(PATHS.cache), Path(PATHS.built)).record_path(record_name(name), digest)
    built = Built(record_name(name), digest, tuple(files), 0.0, 1795341600.0)
    machine.tree.file(str(record), json.dumps(asdict(built)), mode=0o600)
