"""Stopping a unit whose processes outlive it: containers' shims under ``KillMode=process``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from installers.core.actions import units as module
from installers.core.actions.units import StopUnit
from installers.core.errors import Failure
from installers.core.model import DONE
from tests.fake import Call, FakeHost, FakeMachine, debian

UNIT = "[Service]\nExecStart=/usr/bin/thing\nKillMode=process\n"
PROCS = "/sys/fs/cgroup/system.slice/thing.service/cgroup.procs"


def kill(machine: FakeMachine, call: Call) -> Iterator[None]:
    machine.units.kill(*call.argv[call.argv.index("--") + 1 :])
    yield


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    machine = debian()
    machine.commands[("kill",)] = kill
    machine.tree.file("/etc/systemd/system/thing.service", UNIT)
    machine.units.load()
    machine.units.survivors["thing.service"] = (4711, 4712)
    machine.units.start("thing.service")
    monkeypatch.setattr(module, "POLL", 0.0)
    return machine


def test_what_outlives_the_stop_is_ended(machine: FakeMachine) -> None:
    assert StopUnit("thing.service").execute(FakeHost(machine)) == DONE
    assert "thing.service" not in machine.units.running
    assert not machine.tree.exists(PROCS)


def test_what_outlived_somebody_elses_stop_is_ended(machine: FakeMachine) -> None:
    machine.units.stop("thing.service")
    assert machine.tree.text(PROCS) == "4711\n4712\n"
    assert StopUnit("thing.service").execute(FakeHost(machine)) == DONE
    assert not machine.tree.exists(PROCS)


def test_what_cannot_be_ended_is_named(machine: FakeMachine) -> None:
    machine.commands[("kill",)] = lambda machine, call: iter(())
    with pytest.raises(Failure, match="OLR-UNIT-004") as caught:
        StopUnit("thing.service", timeout=0.05).execute(FakeHost(machine))
    assert caught.value.fields["pids"] == "4711 4712"
