"""Calico's objects with our settings in them: out of a manifest of the tests' own, which has the names of Calico's."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from installers.core.actions.objects import ApplyObject
from installers.core.component.load import load
from installers.core.facts.files import TextAt
from installers.core.model import Change, Deferred, Recorded
from installers.infrastructure.calico.manifest import Manifest, Settings, names
from installers.infrastructure.containerd.upstream import PLUGINS
from tests.fake.todays_kubernetes import calico
from tests.unit.core.test_resource_cases import GivenFacts

IMAGES = load("infrastructure/calico", "upstream", "kubernetes").edition.references
SETTINGS = Settings("10.1.0.0/16", tuple(IMAGES.values()))
TEXT = calico()
PATH = "/etc/olares/calico.yaml"


def manifest(text: str = TEXT) -> Manifest:
    return Manifest(PATH, hashlib.sha256(text.encode()).hexdigest(), SETTINGS)


def decision(present: str | None, wanted: Manifest | None = None) -> Any:
    resource = wanted or manifest()
    given: dict[Any, Any] = {fact: {} for fact in resource.needs()} | {
        TextAt(PATH): present,
        Recorded(resource.key): (),
    }
    return resource.decide(GivenFacts(given, resource.needs()))


def applied(name: str) -> dict[str, Any]:
    found = decision(TEXT)
    assert isinstance(found, Change)
    actions = [action for action in found.actions if isinstance(action, ApplyObject)]
    (content,) = [action.content for action in actions if action.target == name]
    return dict(json.loads(content))


def containers(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    pod = item["spec"]["template"]["spec"]
    return {one["name"]: one for one in (*pod.get("initContainers", ()), *pod["containers"])}


def environment(container: dict[str, Any]) -> dict[str, Any]:
    rows = container["env"]
    assert len({row["name"] for row in rows}) == len(rows), "a variable twice: the API takes the last"
    return {row["name"]: row.get("value", row.get("valueFrom")) for row in rows}


def test_without_the_file_its_objects_are_promised_and_with_another_one_too() -> None:
    for text in (None, "", TEXT + "\n"):
        promised = decision(text)
        assert isinstance(promised, Deferred)
        assert [may.target for may in promised.may_become] == list(names())
    found = decision(TEXT)
    assert {action.target for action in found.actions} == set(names())
    assert not any("status" in json.loads(action.content) for action in found.actions), "it is the cluster's"
    assert "status:" in TEXT


def test_pods_get_addresses_out_of_our_range_and_travel_by_vxlan() -> None:
    node = containers(applied("apps/v1/DaemonSet/kube-system/calico-node"))["calico-node"]
    assert environment(node) == {
        "NODENAME": {},
        "CALICO_IPV4POOL_CIDR": "10.1.0.0/16",
        "CALICO_IPV4POOL_IPIP": "Never",
        "CALICO_IPV4POOL_VXLAN": "CrossSubnet",
        "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip",
    }
    assert applied("v1/ConfigMap/kube-system/calico-config")["data"] == {"calico_backend": "vxlan", "veth_mtu": "0"}
    asked = {probe: node[probe]["exec"]["command"][1:] for probe in ("livenessProbe", "readinessProbe")}
    assert asked == {"livenessProbe": ["-felix-live"], "readinessProbe": ["-felix-ready"]}


def test_its_installer_leaves_the_plugins_alone_that_have_an_owner() -> None:
    installer = containers(applied("apps/v1/DaemonSet/kube-system/calico-node"))["install-cni"]
    assert set(environment(installer)["SKIP_CNI_BINARIES"].split(",")) == set(PLUGINS)


def test_every_image_is_pinned_and_an_unknown_one_is_an_error() -> None:
    daemons = ("apps/v1/DaemonSet/kube-system/calico-node", "apps/v1/Deployment/kube-system/calico-kube-controllers")
    found = {one["image"] for name in daemons for one in containers(applied(name)).values()}
    assert found == set(IMAGES.values())
    other = TEXT.replace("calico/node:v3.32.1", "calico/node:v3.32.2")
    with pytest.raises(ValueError, match=r"v3\.32\.2"):
        decision(other, manifest(other))


def test_what_is_read_is_not_changed_for_the_next_reader() -> None:
    assert decision(TEXT) == decision(TEXT)
    assert "CALICO_IPV4POOL_CIDR" not in TEXT
