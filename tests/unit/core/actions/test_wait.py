"""Waits on a clock that a test turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from installers.core.actions import wait
from installers.core.actions.wait import Nothing, WaitFor, WaitReady, encoded_fact
from installers.core.errors import Failure
from installers.core.facts.objects import ref_of
from installers.core.facts.results import FilesPresent
from installers.core.model import DONE, Object
from tests.fake import FakeHost, FakeMachine, debian

WEB = ref_of("apps/v1/Deployment/default/web")


class Clock:
    """Passes only by sleeping; ``at`` holds what happens at which second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []
        self.at: dict[float, Callable[[], None]] = {}

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        for second in [second for second in self.at if second <= self.now]:
            self.at.pop(second)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(wait, "monotonic", lambda: clock.now)
    monkeypatch.setattr(wait, "sleep", clock.sleep)
    return clock


@pytest.fixture
def machine() -> FakeMachine:
    machine = debian()
    machine.cluster.up = True
    return machine


def put(machine: FakeMachine, kind: str, name: str, **more: Any) -> None:
    api = "apps/v1" if kind == "Deployment" else "v1"
    item = {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", **more.pop("metadata", {})},
    }
    machine.cluster.objects[(api, kind, "default", name)] = {**item, **more}


def ready(machine: FakeMachine) -> None:
    put(
        machine,
        "Deployment",
        "web",
        spec={"replicas": 1},
        status={"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1},
    )


def test_a_fact_becomes_true(machine: FakeMachine, clock: Clock) -> None:
    clock.at[3.0] = lambda: machine.tree.file("/run/x", "")
    action = WaitFor("the socket", *encoded_fact(FilesPresent(("/run/x",))), ("true",), 60.0)
    assert action.execute(FakeHost(machine)) == DONE
    assert 3.0 <= clock.now < 6.0
    assert max(clock.sleeps) <= wait.LONGEST


def test_a_fact_stays_false(machine: FakeMachine, clock: Clock) -> None:
    action = WaitFor("the socket", *encoded_fact(FilesPresent(("/run/x",))), ("true",), 10.0)
    with pytest.raises(Failure) as failure:
        action.execute(FakeHost(machine))
    assert failure.value.what == "the socket did not come about within 10 s (last seen: false)"
    assert clock.now == pytest.approx(10.0, abs=0.2)
    assert len(clock.sleeps) < 15


def test_only_facts_of_ours_are_read(machine: FakeMachine, clock: Clock) -> None:
    with pytest.raises(ValueError, match="not a fact of ours"):
        WaitFor("x", "os:system", '{"command": "x"}', ("true",), 1.0).execute(FakeHost(machine))


def test_a_rollout_comes_about(machine: FakeMachine, clock: Clock) -> None:
    clock.at[5.0] = lambda: ready(machine)
    action = WaitReady(WEB, 60.0)
    assert action.execute(FakeHost(machine)) == DONE
    assert action.inverse(FakeHost(machine)) == Nothing(action.target)


def test_an_api_that_restarts_is_waited_for(
    machine: FakeMachine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost(machine)
    ready(machine)
    listed = machine.cluster.list

    def silent(kind: Any) -> tuple[Object, ...]:
        if clock.now < 4.0:
            raise Failure("OLR-HOST-009", server="s", verb="GET", path="/", seconds="30")
        return listed(kind)

    monkeypatch.setattr(type(machine.cluster), "list", lambda self, kind: silent(kind))
    assert WaitReady(WEB, 60.0).execute(host) == DONE
    clock.now = 0.0
    with pytest.raises(Failure, match="OLR-KUBE-002"):
        WaitReady(WEB, 1.0).execute(host)


def crashing(machine: FakeMachine, reason: str = "CrashLoopBackOff") -> None:
    put(machine, "Deployment", "web", spec={"replicas": 1}, status={"updatedReplicas": 1, "replicas": 1})
    owner = [{"kind": "ReplicaSet", "name": "web-7d4b9", "uid": "r"}]
    status = {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "web",
                "ready": False,
                "state": {"waiting": {"reason": reason, "message": "back-off 10s"}},
                "lastState": {"terminated": {"reason": "Error", "exitCode": 3}},
            }
        ],
    }
    put(machine, "Pod", "web-7d4b9-x", metadata={"uid": "p", "ownerReferences": owner}, status=status)
    put(
        machine,
        "Pod",
        "webmail-7d4b9-x",
        metadata={"ownerReferences": [{"kind": "ReplicaSet", "name": "webmail-7d4b9"}]},
        status=status,
    )
    put(
        machine,
        "Event",
        "e1",
        type="Warning",
        reason="BackOff",
        message="Back-off restarting",
        involvedObject={"name": "web-7d4b9-x"},
    )
    put(machine, "Event", "e2", type="Warning", reason="Foreign", message="no", involvedObject={"name": "other"})
    log = "2026-11-22T10:00:00.1Z stderr F starting\n2026-11-22T10:00:00.2Z stderr F no such table: users\n"
    machine.tree.file("/var/log/pods/default_web-7d4b9-x_p/web/2.log", log)
    machine.tree.file("/var/log/pods/default_web-7d4b9-x_p/web/1.log", "older")


def test_a_deadline_ends_in_a_diagnosis(machine: FakeMachine, clock: Clock) -> None:
    crashing(machine)
    with pytest.raises(Failure) as failure:
        WaitReady(WEB, 20.0).execute(FakeHost(machine))
    assert failure.value.id == "OLR-KUBE-002"
    assert failure.value.what == (
        "Deployment default/web was not ready after 20 s: 0 of 1 pods are ready; "
        "container web-7d4b9-x/web: CrashLoopBackOff: back-off 10s; container web-7d4b9-x/web: Error (exit status 3)"
    )
    assert "kubectl -n default describe deployment web" in failure.value.next
    assert str(failure.value.fields["detail"]).splitlines()[2:] == [
        "event: BackOff: Back-off restarting",
        "log of web-7d4b9-x/web: starting",
        "log of web-7d4b9-x/web: no such table: users",
    ]


def test_what_will_never_come_is_not_waited_for(machine: FakeMachine, clock: Clock) -> None:
    crashing(machine, "ErrImageNeverPull")
    with pytest.raises(Failure, match="OLR-KUBE-003"):
        WaitReady(WEB, 600.0).execute(FakeHost(machine))
    assert clock.now == 0.0
