"""Every system in the cluster, in each edition: complete objects, images that say where they come from."""

from __future__ import annotations

import json
import re
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
from installers.phases import PHASES
from installers.site import Site

PATHS = [path for phase in PHASES if phase.name in ("services", "platform") for path in phase.components]
EDITIONS = ("debian", "upstream")
PINNED = re.compile(r"[a-z0-9.]+\.[a-z]+/[a-z0-9/-]+:v?\d[\w.-]*(@sha256:[0-9a-f]{64})?")


def resources(path: str, edition: str) -> list[Any]:
    component = load(path, edition)
    alone = replace(
        component,
        manifest=msgspec.structs.replace(component.manifest, requires=()),
        edition=msgspec.structs.replace(component.edition, requires=()),
    )
    site = Site(source=edition, kube="kubernetes", edition=edition)
    return [step.resource for step in build_steps([Wanted(alone, "services")], site, Platform("bookworm", "amd64"))]


def objects(path: str, edition: str) -> list[dict[str, Any]]:
    (found,) = [one for one in resources(path, edition) if isinstance(one, Objects)]
    return [json.loads(text) for text in found.contents()]


def containers(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        pod = item.get("spec", {}).get("template", {}).get("spec", {})
        yield from (*pod.get("initContainers", ()), *pod.get("containers", ()))


@pytest.mark.parametrize("path", PATHS)
def test_every_system_exists_in_both_editions(path: str) -> None:
    manifest = load(path, "").manifest
    assert [name for name in EDITIONS if manifest.edition(name) is None] == []


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("path", PATHS)
def test_images_say_where_they_come_from(path: str, edition: str) -> None:
    found = list(containers(objects(path, edition)))
    assert found
    for one in found:
        assembled = one["image"].startswith("olares.local/")
        assert assembled == (edition == "debian")
        assert one["imagePullPolicy"] == ("Never" if assembled else "IfNotPresent")
        assert PINNED.fullmatch(one["image"]), f"{one['image']}: a registry, a name and a version"


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("path", PATHS)
def test_every_workload_is_waited_for_and_what_it_mounts_is_there(path: str, edition: str) -> None:
    items = objects(path, edition)
    workloads = {(one["kind"], one["metadata"]["name"]) for one in items if "template" in one.get("spec", {})}
    waited = {(one.ref.kind.name, one.ref.name) for one in resources(path, edition) if isinstance(one, Rollout)}
    assert waited == workloads
    named = {(one["kind"], one["metadata"]["name"]) for one in items}
    for item in items:
        pod = item.get("spec", {}).get("template", {}).get("spec", {})
        claims = [claim["metadata"]["name"] for claim in item.get("spec", {}).get("volumeClaimTemplates", ())]
        volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
        for volume in volumes.values():
            assert "configMap" not in volume or ("ConfigMap", volume["configMap"]["name"]) in named
            assert "secret" not in volume or ("Secret", volume["secret"]["secretName"]) in named
        mounted = {mount["name"] for one in containers([item]) for mount in one.get("volumeMounts", ())}
        assert mounted == {*volumes, *claims}


def test_the_databases_own_programs_travel_with_its_upstream_image() -> None:
    items = objects("platform/postgresql", "upstream")
    (programs,) = [item["data"] for item in items if item["kind"] == "ConfigMap"]
    assert set(programs) == {"entrypoint.sh", "accounts.sh", "account.sql"}
    component = load("platform/postgresql", "upstream")
    for name, text in programs.items():
        assert text.rstrip("\n") == component.text(f"image/{name}").rstrip("\n")
    commands = [one["command"] for one in containers(items)]
    assert {command[-1].rpartition("/")[2] for command in commands} <= set(programs)
