"""After a restart the API still says what it said before; only a heartbeat of this start makes it count."""

from __future__ import annotations

from typing import Any

import pytest

from installers.core.facts.fresh import fresh, started
from installers.core.facts.objects import ref_of
from installers.core.facts.results import STALE, NodeReady, Readiness, Ready
from tests.fake import FakeHost, debian

BOOT = "2026-11-22T10:00:00Z"
START = 1795341600
"""The same as seconds since 1970."""

WORKLOAD = ref_of("apps/v1/Deployment/os/cache")


def stat_of_one(ticks: int) -> str:
    return f"1 (a (b) c) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {ticks} 100 200\n"


def machine(*, ticks: int = 50, heartbeat: str = "", renewed: str = "", uptime: float = 100.0) -> FakeHost:
    """A node and a workload that the API calls ready, with the first process started ``ticks`` after the kernel."""
    made = debian()
    made.tree.live["/proc/stat"] = lambda: f"cpu  1 0 1 1\nbtime {START}\n"
    made.tree.live["/proc/uptime"] = lambda: f"{uptime} 1.0\n"
    made.tree.file("/proc/1/stat", stat_of_one(ticks))
    cluster = made.cluster
    cluster.up = True
    row = {"type": "Ready", "status": "True", **({"lastHeartbeatTime": heartbeat} if heartbeat else {})}
    _put(cluster, "v1", "Node", "", "node1", status={"conditions": [row]})
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), 1)
    _put(cluster, "apps/v1", "Deployment", "os", "cache", spec={"replicas": 1}, status=counts)
    if renewed:
        lease = {"renewTime": renewed}
        _put(cluster, "coordination.k8s.io/v1", "Lease", "kube-node-lease", "node1", spec=lease)
        # A leader's lease is renewed by programs that are no kubelet.
        other = {"renewTime": "2026-11-22T12:00:00.000000Z"}
        _put(cluster, "coordination.k8s.io/v1", "Lease", "kube-system", "leader", spec=other)
    return FakeHost(made)


def _put(cluster: Any, api_version: str, kind: str, namespace: str, name: str, **rest: Any) -> None:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    item = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}
    cluster.objects[(api_version, kind, namespace, name)] = item


@pytest.mark.parametrize(
    ("given", "ready"),
    [
        pytest.param({"heartbeat": "2026-11-22T09:59:59Z"}, False, id="from before"),
        pytest.param({"heartbeat": BOOT}, True, id="in the second of the start"),
        pytest.param({"heartbeat": "2026-11-22T09:00:00Z", "renewed": "2026-11-22T10:00:20.5Z"}, True, id="lease"),
        pytest.param({"heartbeat": "2026-11-22T09:00:00Z", "renewed": "2026-11-22T09:59:50.5Z"}, False, id="old lease"),
        pytest.param({}, True, id="nobody says"),
        pytest.param({"ticks": 6000, "heartbeat": "2026-11-22T10:00:30Z"}, False, id="a container started later"),
        pytest.param({"ticks": 6000, "heartbeat": "2026-11-22T10:01:00Z"}, True, id="the container's kubelet reported"),
        pytest.param({"ticks": 90000, "heartbeat": "2026-11-22T09:00:00Z"}, True, id="a start that is still to come"),
    ],
)
def test_what_is_from_before_the_start_does_not_count(given: dict[str, Any], ready: bool) -> None:
    host = machine(**given)
    assert fresh(host) is ready
    assert NodeReady("node1").load(host) is ready
    text = "1 of 1 pods are ready" if ready else STALE
    assert Readiness(WORKLOAD).load(host) == Ready(ready, text)


def test_the_start_is_that_of_the_first_process() -> None:
    found = started(machine(ticks=6099))
    assert found is not None
    assert found.isoformat() == "2026-11-22T10:01:00+00:00"


def test_without_the_kernels_word_there_is_none() -> None:
    host = machine()
    host.machine.tree.live["/proc/stat"] = lambda: "cpu  1 0 1 1\n"
    assert started(host) is None
