"""What the two services' components bring to a cluster: recipes for every architecture, complete manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from installers.core.component.load import load
from installers.core.component.steps import Wanted, build_steps
from installers.core.component.values import Platform
from installers.core.resources.objects import Objects
from installers.core.resources.wait import Rollout
from installers.site import Network, Paths, Site

COMPONENTS = ("infrastructure/coredns", "infrastructure/storage")
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "StorageClass"}
SITE = Site(
    network=Network(pods="10.1.0.0/16", services="10.2.0.0/16", dns="10.2.0.7", domain="home.arpa"),
    paths=replace(Paths(), state="/srv/olares"),
)


def resources(path: str) -> list[Any]:
    component = load(path, "debian")
    alone = replace(component, manifest=msgspec.structs.replace(component.manifest, requires=()))
    return [step.resource for step in build_steps([Wanted(alone, "services")], SITE, Platform("bookworm", "amd64"))]


def objects(path: str) -> list[dict[str, Any]]:
    (found,) = [one for one in resources(path) if isinstance(one, Objects)]
    return [json.loads(text) for text in found.contents()]


def pods(path: str) -> Iterator[dict[str, Any]]:
    yield from (item["spec"]["template"]["spec"] for item in objects(path) if "template" in item.get("spec", {}))


def containers(path: str) -> list[dict[str, Any]]:
    return [one for pod in pods(path) for one in (*pod.get("initContainers", ()), *pod["containers"])]


@pytest.mark.parametrize("path", COMPONENTS)
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_the_image_is_made_of_pinned_wheels(path: str, arch: str) -> None:
    planned = load(path, "debian").recipe("image", release="bookworm", arch=arch)
    library = next(one for one in planned.uses if one.name == "infrastructure/coredns/library")
    assert {"lightkube", "httpx2", "msgspec"} <= {pin.name for pin in library.pins}
    uid, _, gid = planned.recipe.user.partition(":")
    assert uid.isdigit()
    assert gid.isdigit()


@pytest.mark.parametrize("path", COMPONENTS)
def test_manifests_are_complete(path: str) -> None:
    """Server-side apply in 1.20 tells list items apart by protocol, and guesses no namespace."""
    for item in objects(path):
        assert ("namespace" in item["metadata"]) == (item["kind"] not in CLUSTER_WIDE), item["metadata"]
        assert all(port["protocol"] for port in item.get("spec", {}).get("ports", ()))
    reference = load(path, "debian").recipe("image", release="bookworm", arch="amd64").recipe.reference
    assert containers(path)
    for one in containers(path):
        assert (one["image"], one["imagePullPolicy"]) == (reference, "Never")
        assert all(port["protocol"] for port in one.get("ports", ()))
        assert one["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.parametrize("path", COMPONENTS)
def test_every_workload_is_waited_for(path: str) -> None:
    workloads = [(one["kind"], one["metadata"]["name"]) for one in objects(path) if "template" in one.get("spec", {})]
    waited = [(one.ref.kind.name, one.ref.name) for one in resources(path) if isinstance(one, Rollout)]
    assert waited == workloads


def test_dns_serves_the_networks_of_the_site() -> None:
    (service,) = [item for item in objects("infrastructure/coredns") if item["kind"] == "Service"]
    assert service["spec"]["clusterIP"] == "10.2.0.7"
    prepare, _, watcher = containers("infrastructure/coredns")
    wanted = ["--domain=home.arpa", "--cluster-dns=10.2.0.7", "--network=10.2.0.0/16", "--network=10.1.0.0/16"]
    assert prepare["args"] == ["prepare", *wanted]
    assert watcher["args"] == ["watch", *wanted]


def test_volumes_have_the_same_path_inside_and_outside() -> None:
    (pod,) = pods("infrastructure/storage")
    (container,) = pod["containers"]
    path = "/srv/olares/volumes"
    assert pod["volumes"][0]["hostPath"]["path"] == container["volumeMounts"][0]["mountPath"] == path
    assert container["args"] == [f"--root={path}"]
