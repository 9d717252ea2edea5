"""Objects against the fake API, which keeps managedFields as a server does."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from installers.core.actions.objects import ApplyObject, DeleteObject
from installers.core.facts.objects import DIGEST, identity_of, ref_of
from installers.core.model import DONE, Action, Change, Decision, Irreversible, Left, Recorded, Satisfied, Secret
from installers.core.resources.objects import Objects
from installers.site import Paths
from tests.fake import FakeHost, FakeMachine, debian

WEB = ref_of("apps/v1/Deployment/default/web")
SETTINGS = ref_of("v1/ConfigMap/default/settings")
PASSWORD = ref_of("v1/Secret/default/password")

YAML = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {colour: blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: web:1
          args: []
          ports: [{containerPort: 80}]
          resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5}}
          volumeMounts: [{name: data, mountPath: /data, readOnly: false}]
      volumes: [{name: data, emptyDir: {}}]
"""
SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "password", "namespace": "default"},
    "stringData": {"url": f"postgres://app:{Secret('app/db')}@db"},
}
SET = Objects("web", (YAML, SECRET))


@pytest.fixture
def machine() -> FakeMachine:
    machine = debian()
    machine.cluster.up = True
    machine.cluster.defaults["Deployment"] = _defaults
    machine.tree.file(f"{Paths().secrets}/app/db", "hunter2hunter2")
    return machine


def _defaults(item: dict[str, Any]) -> None:
    """What an API server fills in and writes its own way."""
    item["spec"]["progressDeadlineSeconds"] = 600
    container = item["spec"]["template"]["spec"]["containers"][0]
    container.update(imagePullPolicy="IfNotPresent", terminationMessagePath="/dev/termination-log")
    container.pop("args")
    container["ports"][0]["protocol"] = "TCP"
    container["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    container["volumeMounts"][0].pop("readOnly")


def decide(host: FakeHost, objects: Objects, *recorded: str) -> Decision:
    answers: dict[Any, Any] = {fact: fact.load(host) for fact in objects.needs()}
    answers[Recorded(objects.key)] = recorded
    return objects.decide(answers)


def bring(host: FakeHost, objects: Objects, *recorded: str) -> list[Action | Irreversible]:
    """Apply what is decided; the ways back, latest first."""
    decision = decide(host, objects, *recorded)
    assert isinstance(decision, Change), decision
    back: list[Action | Irreversible] = []
    for action in decision.actions:
        back.insert(0, action.inverse(host))
        assert action.execute(host) == DONE
    after = decide(host, objects, *recorded, *(action.target for action in decision.actions))
    assert isinstance(after, Satisfied), after
    return back


def undo(host: FakeHost, back: list[Action | Irreversible]) -> None:
    for action in back:
        assert isinstance(action, Action)
        assert action.execute(host) == DONE


def test_applied_and_deleted(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    back = bring(host, SET)
    assert [key[1] for key in machine.cluster.objects] == ["ConfigMap", "Deployment", "Secret"]
    for _ in range(2):
        undo(host, back)
        assert machine.cluster.objects == {}


def test_without_a_cluster_there_are_no_objects(machine: FakeMachine) -> None:
    machine.cluster.up = False
    decision = decide(FakeHost(machine), SET)
    assert isinstance(decision, Change)
    assert [action.target for action in decision.actions] == [identity_of(ref) for ref in (SETTINGS, WEB, PASSWORD)]


def test_a_secret_is_filled_in_for_the_api_alone(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    decision = decide(host, SET)
    bring(host, SET)
    live = machine.cluster.get(PASSWORD)
    assert live is not None
    assert base64.b64decode(live["data"]["url"]) == b"postgres://app:hunter2hunter2@db"
    assert "stringData" not in live
    assert live["metadata"]["annotations"][DIGEST].startswith("sealed:")
    facts = [fact.load(host) for fact in SET.needs()]
    assert "hunter2" not in f"{decision}{facts}"
    assert live["data"]["url"] not in f"{facts}"


@pytest.mark.parametrize(
    ("ref", "change", "why"),
    [
        (WEB, lambda item: item["spec"].update(replicas=5), "spec.replicas"),
        (
            WEB,
            lambda item: item["spec"]["template"]["spec"]["containers"][0].update(image="evil:1"),
            "spec.template.spec.containers[0]",
        ),
        (WEB, lambda item: item["metadata"]["labels"].update(app="other"), "metadata.labels"),
        (PASSWORD, lambda item: item["data"].update(url="bm8="), "data"),
    ],
)
def test_drift_is_put_right(machine: FakeMachine, ref: Any, change: Any, why: str) -> None:
    host = FakeHost(machine)
    bring(host, SET)
    machine.cluster.edit(ref, change)
    decision = decide(host, SET)
    assert isinstance(decision, Change)
    assert decision.why == f"{ref}: {why} was changed by someone else"
    [back] = bring(host, SET)
    assert isinstance(back, ApplyObject), "what was there before the drift is this very content"


def test_what_others_add_is_theirs(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    bring(host, SET)
    machine.cluster.edit(WEB, lambda item: item["metadata"].setdefault("annotations", {}).update(note="mine"))
    machine.cluster.edit(WEB, lambda item: item["spec"].update(revisionHistoryLimit=3))
    assert isinstance(decide(host, SET), Satisfied)


def test_a_changed_manifest_and_its_way_back(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    bring(host, SET)
    before = {
        key: json.loads(json.dumps(item["spec"])) for key, item in machine.cluster.objects.items() if "spec" in item
    }
    newer = Objects("web", (YAML.replace("web:1", "web:2").replace("replicas: 2\n", "minReadySeconds: 5\n"), SECRET))
    decision = decide(host, newer)
    assert isinstance(decision, Change)
    assert decision.why == "Deployment default/web: what we want has changed"
    back = bring(host, newer)
    live = machine.cluster.get(WEB)
    assert live is not None
    assert "replicas" not in live["spec"]
    undo(host, back)
    assert {key: item["spec"] for key, item in machine.cluster.objects.items() if "spec" in item} == before
    assert isinstance(decide(host, SET), Satisfied)


def test_a_new_secret_value_is_a_change_without_a_way_back(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    bring(host, SET)
    machine.tree.file(f"{Paths().secrets}/app/db", "another")
    [back] = bring(host, SET)
    assert isinstance(back, Irreversible)


def test_what_leaves_the_manifests_leaves_the_cluster(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    bring(host, SET)
    recorded = [identity_of(ref) for ref in (SETTINGS, WEB, PASSWORD)]
    less = Objects("web", (YAML,))
    back = bring(host, less, *recorded)
    assert machine.cluster.get(PASSWORD) is None
    assert isinstance(back[0], Irreversible)
    assert isinstance(decide(host, less, *recorded, f"-{identity_of(PASSWORD)}"), Satisfied)
    assert isinstance(decide(host, SET, *recorded, f"-{identity_of(PASSWORD)}"), Change)


def test_an_object_of_somebody_else(machine: FakeMachine) -> None:
    """Taken over by name, given back with its former values, never deleted."""
    host = FakeHost(machine)
    machine.cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "default"},
            "data": {"colour": "red", "size": "xl"},
        },
        manager="kubeadm",
    )
    [_, _, back] = bring(host, SET)
    assert isinstance(back, ApplyObject)
    assert back.execute(host) == DONE
    live = machine.cluster.get(SETTINGS)
    assert live is not None
    assert live["data"] == {"colour": "red", "size": "xl"}
    machine.cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "default"}},
        manager="kubeadm",
    )
    assert isinstance(DeleteObject(ref_of("v1/ConfigMap/default/other")).execute(host), Left)


def test_what_old_api_servers_do_not_fill_in() -> None:
    """1.20 refuses a port without a protocol and a quantity that is a number."""
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]},
    }
    found, deployment = (json.loads(text) for text in Objects("x", (service, YAML)).contents()[::2])
    assert [port["protocol"] for port in found["spec"]["ports"]] == ["TCP", "UDP"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["resources"]["requests"] == {"cpu": "0.5"}
    assert "protocol" not in service["spec"]["ports"][0], "what was given stays as it is"


def test_a_dead_cluster_stops_no_undo(machine: FakeMachine) -> None:
    machine.cluster.up = False
    assert isinstance(DeleteObject(WEB).execute(FakeHost(machine)), Left)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}, "names no namespace"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "x"}}, "has no name"),
        ({"apiVersion": "v1", "metadata": {"name": "x"}}, "has no kind"),
    ],
)
def test_a_manifest_that_says_too_little(manifest: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Objects("bad", (manifest,)).needs()
