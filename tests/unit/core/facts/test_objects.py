from __future__ import annotations

from typing import Any

import pytest

from installers.core.facts.objects import difference, identity_of, owned_fields, plural, quantity, ref_of


@pytest.mark.parametrize(
    ("wanted", "live", "where"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, ""),
        ({"a": 1}, {}, "a"),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, "a.b"),
        ({"a": {}, "b": [], "c": None, "d": "", "e": False, "f": 0}, {}, ""),
        ({"a": False}, {"a": True}, "a"),
        ({"a": 0}, {"a": 1}, "a"),
        ({"a": True}, {"a": 1}, "a"),
        ({"a": "1"}, {"a": 1}, "a"),
        ({"a": 1.0}, {"a": 1}, ""),
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, ""),
        ({"limits": {"cpu": 1}}, {"limits": {"cpu": "1"}}, ""),
        ({"limits": {"cpu": 0.5}}, {"limits": {"cpu": "500m"}}, ""),
        ({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}, ""),
        ({"limits": {"memory": "1G"}}, {"limits": {"memory": "1Gi"}}, "limits.memory"),
        ({"name": "1000m"}, {"name": "1"}, "name"),
        ({"l": [{"n": "a"}, {"n": "b"}]}, {"l": [{"n": "b", "x": 1}, {"n": "a"}]}, ""),
        ({"l": ["a", "a"]}, {"l": ["a", "b"]}, "l[1]"),
        ({"l": [{"n": "a"}]}, {"l": []}, "l[0]"),
        ({"l": ["a"]}, {"l": "a"}, "l"),
    ],
)
def test_difference(wanted: Any, live: Any, where: str) -> None:
    assert difference(wanted, live) == where


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1", "1000m"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1k"),
        ("1E", "1000P"),
        ("100n", "0.1u"),
    ],
)
def test_quantity(text: str, same: str) -> None:
    assert quantity(text) == quantity(same) is not None


@pytest.mark.parametrize("text", ["", "1 Gi", "abc", "1Gi1", "--1", "0x10"])
def test_no_quantity(text: str) -> None:
    assert quantity(text) is None


def entry(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": "olares", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields, **more}


def item(*managed: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "x",
            "namespace": "y",
            "labels": {"a": "1", "b": "2"},
            "finalizers": ["p", "q"],
            "managedFields": list(managed),
        },
        "spec": {
            "containers": [
                {"name": "one", "image": "i:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                {"name": "two", "image": "i:2", "args": ["-x", "-y"]},
            ],
            "nodeSelector": {"disk": "ssd"},
        },
    }


@pytest.mark.parametrize(
    ("fields", "owned"),
    [
        ({"f:metadata": {"f:labels": {"f:a": {}}}}, {"metadata": {"labels": {"a": "1"}}}),
        ({"f:metadata": {"f:labels": {".": {}}}}, {"metadata": {"labels": {}}}),
        ({"f:metadata": {"f:finalizers": {'v:"q"': {}}}}, {"metadata": {"finalizers": ["q"]}}),
        ({"f:spec": {"f:nodeSelector": {}}}, {"spec": {"nodeSelector": {"disk": "ssd"}}}),
        (
            {"f:spec": {"f:containers": {'k:{"name":"two"}': {".": {}, "f:name": {}, "f:args": {}}}}},
            {"spec": {"containers": [{"name": "two", "args": ["-x", "-y"]}]}},
        ),
        (
            {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"one"}': {
                            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {"f:containerPort": {}}}
                        }
                    }
                }
            },
            {"spec": {"containers": [{"ports": [{"containerPort": 80}]}]}},
        ),
        ({"f:spec": {"f:gone": {}}}, {"spec": {}}),
    ],
)
def test_owned_fields(fields: dict[str, Any], owned: dict[str, Any]) -> None:
    assert owned_fields(item(entry(fields))) == owned


def test_only_what_we_applied_is_ours() -> None:
    fields: dict[str, Any] = {"f:spec": {"f:nodeSelector": {}}}
    others = (entry(fields, manager="kubectl"), entry(fields, operation="Update"), entry(fields, subresource="status"))
    assert owned_fields(item(*others)) is None
    assert owned_fields(item(entry({}))) == {}


@pytest.mark.parametrize(
    ("text", "name", "namespaced"),
    [("apps/v1/Deployment/default/web", "deployments", True), ("v1/Namespace//olares", "namespaces", False)],
)
def test_identity_and_back(text: str, name: str, namespaced: bool) -> None:
    ref = ref_of(text)
    assert (ref.kind.plural, ref.kind.namespaced, identity_of(ref)) == (name, namespaced, text)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("NetworkPolicy", "networkpolicies"),
        ("Ingress", "ingresses"),
        ("StorageClass", "storageclasses"),
        ("Endpoints", "endpoints"),
        ("Gateway", "gateways"),
    ],
)
def test_plural(kind: str, name: str) -> None:
    assert plural(kind) == name
