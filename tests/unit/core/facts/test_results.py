from __future__ import annotations

from typing import Any

import pytest

from installers.core.engine.gather import FactStore
from installers.core.facts.objects import ref_of
from installers.core.facts.results import NodeReady, ObjectFields, Readiness, Ready, parse_readiness
from installers.core.model import Change, Decision, Recorded, Resource
from installers.core.resources.objects import Objects
from tests.fake import FakeHost, debian


def item(kind: str, spec: Any = None, status: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "apiVersion": "v1",
        "metadata": {"name": "x", "generation": 2},
        "spec": spec or {},
        "status": status or {},
        **more,
    }


def said(type: str, status: str, **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": type, "status": status, **more}]}


SEEN = {"observedGeneration": 2}


@pytest.mark.parametrize(
    ("thing", "ready"),
    [
        (
            item("Deployment", {"replicas": 1}, {"observedGeneration": 1, "availableReplicas": 1}),
            Ready(False, "its controller has not seen it yet"),
        ),
        (
            item("Deployment", {"replicas": 2}, {**SEEN, "updatedReplicas": 1}),
            Ready(False, "1 of 2 pods are of the new version"),
        ),
        (
            item("Deployment", {"replicas": 2}, {**SEEN, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
            Ready(False, "1 of 2 pods are ready"),
        ),
        (
            item("Deployment", {"replicas": 1}, {**SEEN, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1}),
            Ready(False, "1 old pods are still there"),
        ),
        (
            item("Deployment", {"replicas": 1}, {**SEEN, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
            Ready(True, "1 of 1 pods are ready"),
        ),
        (
            item(
                "Deployment",
                {"replicas": 1},
                {**SEEN, **said("Progressing", "False", reason="ProgressDeadlineExceeded")},
            ),
            Ready(False, "0 of 1 pods are of the new version", True),
        ),
        (item("Deployment", {"replicas": 0}, SEEN), Ready(True, "0 of 0 pods are ready")),
        (
            item("StatefulSet", {}, {**SEEN, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}),
            Ready(True, "1 of 1 pods are ready"),
        ),
        (
            item(
                "DaemonSet",
                {},
                {**SEEN, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2},
            ),
            Ready(False, "2 of 3 pods are ready"),
        ),
        (item("Job", {}, said("Complete", "True") | {"succeeded": 1}), Ready(True, "1 of 1 runs have succeeded")),
        (
            item("Job", {}, said("Failed", "True", message="Job has reached the specified backoff limit")),
            Ready(False, "Job has reached the specified backoff limit", True),
        ),
        (item("PersistentVolumeClaim", {}, {"phase": "Bound"}), Ready(True, "it is Bound")),
        (item("PersistentVolumeClaim", {}, {"phase": "Lost"}), Ready(False, "it is Lost", True)),
        (item("Endpoints", subsets=[{"addresses": [{"ip": "10.0.0.1"}]}]), Ready(True, "it has 1 ready addresses")),
        (
            item("Endpoints", subsets=[{"notReadyAddresses": [{"ip": "10.0.0.1"}]}]),
            Ready(False, "it has 0 ready addresses"),
        ),
        (
            item("Node", {}, said("Ready", "False", message="cni plugin not initialized")),
            Ready(False, "it is not Ready: cni plugin not initialized"),
        ),
        (item("CustomResourceDefinition", {}, said("Established", "True")), Ready(True, "it is Established")),
        (item("Pod", {}, {"phase": "Succeeded"}), Ready(True, "it has finished")),
        (item("ConfigMap"), Ready(True, "it exists")),
    ],
)
def test_readiness(thing: dict[str, Any], ready: Ready) -> None:
    assert parse_readiness(thing) == ready


def test_a_cluster_that_does_not_answer_is_not_said_to_have_no_such_object() -> None:
    machine = debian()
    machine.cluster.silent = "https://api:6443: connection refused"
    host = FakeHost(machine)
    said = "the cluster does not answer (https://api:6443: connection refused)"
    assert Readiness(ref_of("v1/Node//node1")).load(host) == Ready(False, said)
    decision = decide(Objects("dns", ({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}},)), host)
    assert isinstance(decision, Change)
    assert decision.why == said


def decide(resource: Resource, host: FakeHost) -> Decision:
    needs = resource.needs()
    return resource.decide(FactStore(host, {Recorded(resource.key): ()}).view(needs))


def test_fields_and_nodes() -> None:
    machine = debian()
    machine.cluster.up = True
    host = FakeHost(machine)
    ref = ref_of("v1/Node//node1")
    assert NodeReady("node1").load(host) is False
    assert Readiness(ref).load(host) == Ready(False, "there is no such object")
    machine.cluster.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}, "spec": {"podCIDR": "10.1.0.0/24"}}
    )
    machine.cluster.objects[("v1", "Node", "", "node1")]["status"] = said("Ready", "True")
    assert NodeReady("node1").load(host) is True
    assert ObjectFields(ref, "spec.podCIDR").load(host) == '"10.1.0.0/24"'
    assert ObjectFields(ref, "spec.nothing").load(host) == ""
    assert ObjectFields(ref_of("v1/Node//node2"), "spec").load(host) == ""
