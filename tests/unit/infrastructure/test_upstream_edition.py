"""Engine kubernetes in the edition upstream: what is rendered, against what the projects document of their files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from installers.choice import ENGINES, components
from installers.core.artifacts.reference import is_pinned, without_tag
from installers.core.artifacts.upstream import upstream
from installers.core.component import skew
from installers.core.component.load import load
from installers.core.component.values import Platform
from installers.core.errors import Failure
from installers.core.facts.identity import KubeletResolvConf
from installers.core.facts.platform import CgroupMode, Cgroups, MayLowerOomScore
from installers.core.facts.protection import Selinux, SelinuxState
from installers.core.facts.results import NodeReady
from installers.core.model import Step
from installers.core.resources import File, Packages, Template, Unit, User
from installers.core.resources.artifacts import Binary
from installers.core.resources.command import GuardedCommand
from installers.core.resources.templates import rendered, text_needs
from installers.core.resources.wait import Wait
from installers.install import component_steps
from installers.site import K3s, Network, Node, Site
from tests.unit.core.test_resource_cases import GivenFacts
from tests.unit.infrastructure.documented import PLAIN, read, tree_problems, types

SITE = Site(
    source="upstream",
    edition="upstream",
    kube="kubernetes",
    node=Node("home", "192.0.2.10"),
    network=Network(pods="10.1.0.0/16", services="10.2.0.0/16", dns="10.2.0.7", domain="home.arpa"),
)
BESIDE_K3S = replace(SITE, kube="k3s", k3s=K3s("", "embedded", "shared"))
"""K3s on the host's containerd: the bridge plugin is its network."""

RESOLVED = "/run/systemd/resolve/resolv.conf"
HOST: Mapping[Any, Any] = {
    CgroupMode(): Cgroups("v2", ("cpu", "memory", "pids")),
    MayLowerOomScore(): True,
    KubeletResolvConf(): RESOLVED,
    SelinuxState(): None,
}


def steps(site: Site = SITE) -> list[Step]:
    return component_steps(site, Platform("bookworm", "amd64"))


def of(kind: type[Any], name: str, site: Site = SITE) -> list[Any]:
    return [step.resource for step in steps(site) if step.component == name and isinstance(step.resource, kind)]


def filled(text: str | Template, host: Mapping[Any, Any]) -> str:
    return rendered(text, GivenFacts({fact: host[fact] for fact in text_needs(text)}, text_needs(text)))


def file(path: str, site: Site = SITE, **changes: Any) -> str:
    host = {**HOST, **({CgroupMode(): changes["cgroups"]} if "cgroups" in changes else {})}
    host |= {KubeletResolvConf(): changes["resolv"]} if "resolv" in changes else {}
    (found,) = [step.resource for step in steps(site) if isinstance(step.resource, File) and step.resource.path == path]
    return filled(found.content, host)


def containerd(found: Selinux | None) -> dict[str, Any]:
    """containerd's settings of the runtime, where SELinux is so."""
    (made,) = [one for one in of(File, "containerd") if one.path == "/etc/olares/containerd.toml"]
    text = filled(made.content, {**HOST, SelinuxState(): found})
    runtime: dict[str, Any] = tomllib.loads(text)["plugins"]["io.containerd.cri.v1.runtime"]
    return runtime


@pytest.mark.parametrize(
    ("found", "on"),
    [
        (None, None),
        (Selinux("enforcing"), None),
        (Selinux("enforcing", container_policy=True), True),
        (Selinux("permissive", container_policy=True), True),
    ],
)
def test_containerd_labels_containers_where_selinux_has_a_policy_for_them(found: Selinux | None, on: bool) -> None:
    assert containerd(found).get("enable_selinux") is on


def test_what_selinux_is_told_of_containerd() -> None:
    keys = [step.resource.key for step in steps() if step.component == "containerd"]
    told = [key for key in keys if "selinux" in key or "label" in key]
    assert told == [
        "selinux:container-selinux",
        "labelled-as:/var/lib/olares/containerd",
        "labels:containerd",
    ]
    assert keys.index(told[-1]) > max(place for place, key in enumerate(keys) if key.startswith("file:/usr/local/"))
    assert keys.index(told[-1]) < keys.index("unit:containerd.service")


def kubeadm(site: Site = SITE, **changes: Any) -> dict[str, dict[str, Any]]:
    """kubeadm's file by kind of document."""
    return {each["kind"]: each for each in yaml.safe_load_all(file("/etc/olares/kubeadm.yaml", site, **changes))}


MODES = [Cgroups("v2", ("memory",)), Cgroups("v1", ("memory",)), Cgroups("hybrid", ("memory",))]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.mode)
@pytest.mark.parametrize("source", ["upstream", "bundle"])
def test_every_field_is_documented(mode: Cgroups, source: str) -> None:
    known = {
        "InitConfiguration": types("kubeadm-v1beta4"),
        "ClusterConfiguration": types("kubeadm-v1beta4"),
        "KubeletConfiguration": types("kubelet-v1beta1"),
        "KubeProxyConfiguration": types("kubeproxy-v1alpha1"),
    }
    documents = kubeadm(replace(SITE, source=source), cgroups=mode)
    assert set(documents) == set(known)
    assert [problem for kind, each in documents.items() for problem in known[kind].problems(each)] == []


def test_what_the_fields_say() -> None:
    documents = kubeadm()
    init, cluster = documents["InitConfiguration"], documents["ClusterConfiguration"]
    socket = "unix:///run/containerd/containerd.sock"
    assert init["nodeRegistration"] == {"name": "home", "criSocket": socket, "taints": []}
    assert init["localAPIEndpoint"] == {"advertiseAddress": "192.0.2.10", "bindPort": 6443}
    version = upstream().releases["kubeadm"].version
    assert cluster["kubernetesVersion"] == f"v{version}"
    (kubernetes,) = [one for one in components(SITE) if one.name == "kubernetes"]
    # kubeadm makes the references of all four images out of these two.
    assert kubernetes.edition.references == {
        name: f"{cluster['imageRepository']}/{name}:v{version}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    }
    assert cluster["dns"] == {"disabled": True}
    networking = {"podSubnet": "10.1.0.0/16", "serviceSubnet": "10.2.0.0/16", "dnsDomain": "home.arpa"}
    assert cluster["networking"] == networking
    kubelet = documents["KubeletConfiguration"]
    assert (kubelet["clusterDNS"], kubelet["clusterDomain"]) == (["10.2.0.7"], "home.arpa")
    assert kubelet["containerRuntimeEndpoint"] == socket
    assert documents["KubeProxyConfiguration"]["clusterCIDR"] == "10.1.0.0/16"


@pytest.mark.parametrize(("mode", "driver", "refuses"), [("v2", "systemd", True), ("v1", "cgroupfs", False)])
def test_kubelet_and_runtime_agree_on_control_groups(mode: str, driver: str, refuses: bool) -> None:
    cgroups = Cgroups(mode, ("memory",))
    kubelet = kubeadm(cgroups=cgroups)["KubeletConfiguration"]
    assert (kubelet["cgroupDriver"], kubelet["failCgroupV1"]) == (driver, refuses)
    runc = _runc(tomllib.loads(file("/etc/olares/containerd.toml", cgroups=cgroups)))
    assert runc["options"]["SystemdCgroup"] is (driver == "systemd")


def _runc(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["runc"]
    return found


@pytest.mark.parametrize("path", [RESOLVED, "/etc/resolv.conf", ""])
def test_the_kubelet_is_told_its_file_of_name_servers(path: str) -> None:
    """Where there is none, to do without."""
    assert kubeadm(resolv=path)["KubeletConfiguration"]["resolvConf"] == path


def test_images_are_collected_where_they_can_be_pulled_again() -> None:
    assert "imageGCHighThresholdPercent" not in kubeadm()["KubeletConfiguration"]
    bundle = kubeadm(replace(SITE, source="bundle"))["KubeletConfiguration"]
    assert bundle["imageGCHighThresholdPercent"] == 100
    web = kubeadm(replace(SITE, source="mirror", publisher="sha256:" + "0" * 64))["KubeletConfiguration"]
    assert web["imageGCHighThresholdPercent"] == 100


def test_the_documented_fields_are_whole() -> None:
    """Every type a field names is there, and what everybody knows of these files holds."""
    for name in ("kubeadm-v1beta4", "kubelet-v1beta1", "kubeproxy-v1alpha1"):
        known = types(name)
        assert re.fullmatch("[0-9a-f]{40}", known.commit)
        kinds = {kind.rpartition(" of ")[2] for fields in known.types.values() for kind in fields.values()}
        assert kinds <= {*known.types, *PLAIN, "any"}
        assert {*known.kinds} <= known.types.keys()
    kubelet = types("kubelet-v1beta1").types["KubeletConfiguration"]
    assert len(kubelet) > 100
    assert (kubelet["failCgroupV1"], kubelet["evictionHard"]) == ("boolean", "map of string")
    assert types("kubeadm-v1beta4").types["APIServer"]["extraArgs"] == "list of Arg"
    assert len(read("etcd-3.6")["flags"]) > 80


def test_old_forms_are_told() -> None:
    cluster = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration"}
    known = types("kubeadm-v1beta4")
    server = {"extraArgs": {"v": "2"}, "timeoutForControlPlane": "4m0s"}
    old: dict[str, Any] = {"apiServer": server, "useHyperKubeImage": True}
    assert known.problems(cluster | old) == [
        "ClusterConfiguration.apiServer.extraArgs must be a list",
        "ClusterConfiguration.apiServer.timeoutForControlPlane is not documented",
        "ClusterConfiguration.useHyperKubeImage is not documented",
    ]
    new: dict[str, Any] = {"apiServer": {"extraArgs": [{"name": "v", "value": "2"}]}}
    assert known.problems(cluster | new) == []
    assert known.problems(cluster | {"apiVersion": "kubeadm.k8s.io/v1beta2"}) != []
    kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    wrong: dict[str, Any] = {"failSwapOn": "no", "maxPods": True, "evictionHard": {"a": 3}}
    wrong |= {"nodeStatusUpdateFrequency": "5"}
    assert len(types("kubelet-v1beta1").problems(kubelet | wrong)) == 4


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.mode)
def test_containerds_keys_are_documented(mode: Cgroups) -> None:
    config = tomllib.loads(file("/etc/olares/containerd.toml", cgroups=mode))
    assert list(tree_problems(config, read("containerd-v3")["keys"])) == []
    assert config["version"] == 3
    images = config["plugins"]["io.containerd.cri.v1.images"]
    assert images["registry"]["config_path"] == "/etc/containerd/certs.d"
    # As containerd writes a reference with a digest: it keeps an image only where both are the same text.
    assert re.fullmatch(r"\S+/pause@sha256:[0-9a-f]{64}", images["pinned_images"]["sandbox"])
    assert config["plugins"]["io.containerd.cri.v1.runtime"]["cni"]["bin_dirs"] == ["/opt/cni/bin"]


def test_a_key_of_containerds_version_2_is_told() -> None:
    old = {"version": 2, "plugins": {"io.containerd.grpc.v1.cri": {"sandbox_image": "x", "disable_tcp_service": "yes"}}}
    assert list(tree_problems(old, read("containerd-v3")["keys"])) == [
        "/plugins/io.containerd.grpc.v1.cri/sandbox_image is not documented",
        "/plugins/io.containerd.grpc.v1.cri/disable_tcp_service must be a boolean, not 'yes'",
    ]


def test_etcds_flags_are_documented_and_none_is_on_its_way_out() -> None:
    (unit,) = of(Unit, "etcd")
    dropin = filled(dict(unit.dropins)["olares.conf"], HOST)
    flags = re.findall(r" --([a-z-]+)", dropin)
    known = read("etcd-3.6")
    assert {"client-cert-auth", "trusted-ca-file", "peer-client-cert-auth", "listen-client-urls"} <= set(flags)
    assert set(flags) <= set(known["flags"]) - set(known["deprecated"])
    # nothing of it can be reached from outside this host
    assert set(re.findall(r"https?://[^\s,]+", dropin)) == {"https://127.0.0.1:2379", "https://127.0.0.1:2380"}


def test_units_are_whole() -> None:
    """No package brings them: each says what runs, as whom, and when systemd may call it started."""
    for name, program in (("containerd", "containerd"), ("etcd", "etcd"), ("kubernetes", "kubelet")):
        (unit,) = of(Unit, name)
        texts = [filled(text, HOST) for text in (unit.content, *dict(unit.dropins).values())]
        assert re.findall(r"^ExecStart=(\S+)", "\n".join(texts), re.MULTILINE)[-1] == f"/usr/local/bin/{program}"
        assert "WantedBy=multi-user.target" in texts[0]
        assert ("Type=notify" in texts[0]) is (program != "kubelet")
        assert f"/usr/local/bin/{program}" in unit.restart_on
    assert [user.name for user in of(User, "etcd")] == ["etcd"]
    (unit,) = of(Unit, "etcd")
    assert "User=etcd" in filled(unit.content, HOST)


PROGRAMS = {
    "/usr/local/bin/containerd": ("containerd", "bin/containerd"),
    "/usr/local/bin/containerd-shim-runc-v2": ("containerd", "bin/containerd-shim-runc-v2"),
    "/usr/local/bin/ctr": ("containerd", "bin/ctr"),
    "/usr/local/sbin/runc": ("runc", ""),
    "/opt/cni/bin/bridge": ("cni-plugins", "bridge"),
    "/opt/cni/bin/host-local": ("cni-plugins", "host-local"),
    "/opt/cni/bin/loopback": ("cni-plugins", "loopback"),
    "/opt/cni/bin/portmap": ("cni-plugins", "portmap"),
    "/opt/cni/bin/bandwidth": ("cni-plugins", "bandwidth"),
    "/opt/cni/bin/firewall": ("cni-plugins", "firewall"),
    "/opt/cni/bin/tuning": ("cni-plugins", "tuning"),
    "/usr/local/bin/etcd": ("etcd", "etcd-v3.6.14-linux-amd64/etcd"),
    "/usr/local/bin/etcdctl": ("etcd", "etcd-v3.6.14-linux-amd64/etcdctl"),
    "/usr/local/bin/etcdutl": ("etcd", "etcd-v3.6.14-linux-amd64/etcdutl"),
    "/usr/local/bin/kubeadm": ("kubeadm", ""),
    "/usr/local/bin/kubelet": ("kubelet", ""),
    "/usr/local/bin/kubectl": ("kubectl", ""),
    "/usr/local/bin/crictl": ("crictl", "crictl"),
    "/etc/olares/calico.yaml": ("calico", ""),
}
"""Where each program goes and what it is in its project's release, written by hand from their install pages."""


def test_programs_come_from_releases_and_none_from_a_package() -> None:
    binaries = [step.resource for step in steps() if isinstance(step.resource, Binary)]
    assert {one.path: (one.source.name, one.name) for one in binaries} == PROGRAMS
    assert [step for step in steps() if isinstance(step.resource, Packages) and step.component != "packages"] == []
    assert {one.name for one in binaries if one.path.startswith("/opt/cni")} >= _plugins()


def _plugins() -> set[str]:
    """What the network's configuration asks for."""
    import json

    conflist = json.loads(file("/etc/cni/net.d/10-olares.conflist", BESIDE_K3S))
    return {row["type"] for row in conflist["plugins"]} | {conflist["plugins"][0]["ipam"]["type"]}


def test_phases_are_those_of_todays_kubeadm() -> None:
    images, *phases = [command.argv[1:] for command in of(GuardedCommand, "kubernetes")]
    config = ("--config", "/etc/olares/kubeadm.yaml")
    assert images == ("config", "images", "pull", *config)
    assert {phase[:2] for phase in phases} == {("init", "phase")}
    assert [phase[2:] for phase in phases] == [
        *(("certs", name, *config) for name in ("ca", "apiserver", "apiserver-kubelet-client")),
        *(("certs", name, *config) for name in ("front-proxy-ca", "front-proxy-client", "sa")),
        ("kubeconfig", "all", *config),
        ("control-plane", "all", *config),
        ("kubelet-start", *config),
        ("upload-config", "all", *config),
        ("mark-control-plane", *config),
        ("kubelet-finalize", "all", *config),
        ("addon", "kube-proxy", *config),
    ]


def test_phases_are_done_when_todays_kubeadm_leaves_them_done() -> None:
    done = {command.name: repr(command.done_when) for command in of(GuardedCommand, "kubernetes")}
    assert "/etc/kubernetes/super-admin.conf" in done["kubeadm kubeconfig"]
    assert "/var/lib/kubelet/instance-config.yaml" in done["kubeadm kubelet-start"]
    uploaded = done["kubeadm upload-config"]
    assert all(name in uploaded for name in ("'kubelet-config'", "'kubeadm:kubelet-config'", "kubeadm:cluster-admins"))
    assert "1.20" not in "".join(done.values())


def _versions(edition: Iterable[Any]) -> dict[str, str]:
    return {one.name: one.edition.version for one in edition}


@pytest.mark.parametrize("edition", ENGINES)
def test_shipped_versions_go_together(edition: str) -> None:
    for kube in ENGINES[edition]:
        versions = _versions(components(replace(SITE, source=edition, edition=edition, kube=kube)))
        assert kube != "kubernetes" or {"kubernetes", "containerd", "etcd"} <= set(versions)
        assert skew.conflicts(versions) == ()


def test_a_component_has_the_version_of_its_releases() -> None:
    releases = upstream().releases
    names = {"containerd": ("containerd",), "etcd": ("etcd",), "kubernetes": ("kubeadm", "kubelet", "kubectl")}
    found = {one.name: one for one in components(SITE)}
    for name, files in names.items():
        assert {releases[file].version for file in files} == {found[name].edition.version}
    kubernetes = found["kubernetes"].edition
    assert {reference.rpartition(":")[2] for reference in kubernetes.references.values()} == {f"v{kubernetes.version}"}
    assert skew.numbers(releases["crictl"].version)[:2] == skew.numbers(kubernetes.version)[:2]
    calico = found["calico"].edition
    assert calico.version == releases["calico"].version
    assert {image.partition("@")[0].rpartition(":")[2] for image in calico.references.values()} == {
        f"v{calico.version}"
    }
    bridge = load("infrastructure/calico", "upstream").edition
    assert bridge.version.split()[-1] == releases["cni-plugins"].version


@pytest.mark.parametrize("kube", ENGINES["upstream"])
def test_every_image_has_a_version_and_the_others_have_a_digest(kube: str) -> None:
    by_version = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "apache/kvrocks"}
    references = {image for one in components(replace(SITE, kube=kube)) for image in one.edition.references.values()}
    for image in references:
        assert re.fullmatch(r"[a-z0-9.]+\.[a-z]+(/[a-z0-9-]+)+:v?\d[\w.-]*(@sha256:[0-9a-f]{64})?", image), image
        assert is_pinned(image) != any(f"/{name}:" in image for name in by_version), image
    assert len({without_tag(image) for image in references}) == len(references)


def test_a_pinned_reference_without_its_tag_is_what_containerd_keeps() -> None:
    digest = f"@sha256:{'ab' * 32}"
    assert without_tag(f"a.example:5000/b/c:1.2{digest}") == f"a.example:5000/b/c{digest}"
    assert without_tag("a.example:5000/b/c:1.2") == "a.example:5000/b/c:1.2"


def test_what_stands_in_is_said() -> None:
    said = {one.name: one.edition.substitute for one in components(SITE) if one.edition.substitute}
    assert said == {}, "Calico is Calico, and nothing else is stood in for"
    said = {one.name: one.edition.substitute for one in components(BESIDE_K3S) if one.edition.substitute}
    assert set(said) == {"calico"}
    assert said["calico"].stands_for == "Calico"
    assert "NetworkPolicy" in said["calico"].lacks


OTHERS = ("coredns", "storage", "prometheus", "kvrocks", "nats", "postgresql")
"""What has an address of the pod network."""


@pytest.mark.parametrize(
    ("site", "first"),
    [(SITE, "coredns"), (replace(SITE, source="debian", edition="debian"), "kubernetes"), (BESIDE_K3S, "k3s")],
)
def test_without_a_pod_network_it_is_said_what_cannot_be(site: Site, first: str) -> None:
    with pytest.raises(Failure) as caught:
        steps(replace(site, skip=("calico",)))
    assert caught.value.id == "OLR-PLAN-008"
    assert str(caught.value.fields["components"]).split(", ")[0] == first
    # What is told does: nothing more is missing then.
    rest = tuple(str(caught.value.fields["components"]).split(", "))
    assert steps(replace(site, skip=("calico", *rest)))


def test_a_cluster_for_a_pod_network_of_ones_own_waits_for_no_address() -> None:
    found = steps(replace(SITE, skip=("calico", *OTHERS)))
    assert {"kubernetes", "containerd"} <= {step.component for step in found}
    waits = [step.resource for step in found if isinstance(step.resource, Wait)]
    assert waits
    assert not [wait for wait in waits if isinstance(wait.fact, NodeReady)]


def test_what_lacks_something_else_is_told_at_once() -> None:
    with pytest.raises(Failure) as caught:
        steps(replace(SITE, skip=("storage", "calico", "coredns")))
    assert caught.value.id == "OLR-PLAN-001"
    assert caught.value.fields == {
        "components": "postgresql, kvrocks, nats, prometheus",
        "missing": "coredns, storage",
    }
