"""Engine kubernetes in the edition upstream on a simulated server: planned, installed, cut off, run again, undone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from installers.core.artifacts import releases
from installers.core.model import Step
from installers.core.resources.command import GuardedCommand
from installers.install import Options, _steps, resolve
from installers.site import Site
from tests.fake import FakeMachine, FakeProbe, differences
from tests.fake.todays_kubernetes import stand_ins, upstream_server
from tests.unit.core.engine.debian_install import DATA, Relentless, half_done
from tests.unit.core.engine.test_debian12 import KEPT, WHENS, FirstOfKind
from tests.unit.core.engine.workbench import Workbench


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "upstream", stand_ins)


@pytest.fixture
def bench(tmp_path: Path, hasty: None) -> Workbench:
    return Workbench(tmp_path, machine=upstream_server())


def steps() -> list[Step]:
    probe = FakeProbe(upstream_server())
    site = resolve(Site(source="upstream", kube="kubernetes"), probe)
    return _steps(Options(site), site, probe)


def installed(bench: Workbench) -> FakeMachine:
    result = bench.install(steps())
    assert result.status == "done", result.failure
    return bench.machine


def left_behind(before: dict[str, object], machine: FakeMachine) -> list[str]:
    lines = differences(before, machine.snapshot(*KEPT))
    return [line for line in lines if line != "+ path /var/lib/olares"]


def test_nothing_is_blocked_and_only_archives_are_waited_for(bench: Workbench) -> None:
    plan = bench.plan(steps())
    assert plan.blocked() == ()
    waiting = {item.step.resource.key.removeprefix("file:") for item in plan.deferred()}
    assert {path for path in waiting if path.startswith("/opt/cni")} != set()
    assert not waiting & {"/usr/local/bin/kubelet", "/usr/local/bin/kubeadm", "/usr/local/sbin/runc"}


def test_it_is_installed_and_a_second_install_changes_nothing(bench: Workbench) -> None:
    machine = installed(bench)
    assert {"containerd.service", "etcd.service", "kubelet.service"} <= machine.units.running.keys()
    assert machine.units.stale() == {}
    brought = {"conntrack", "ethtool", "iptables", "nftables", "socat", "libwrap0"}
    assert set(machine.dpkg.database) == brought, "what the host lacked, and nothing of the cluster's"
    before = machine.snapshot()
    assert bench.plan(steps()).changes() == ()
    result = bench.install(steps())
    assert (result.status, result.changes) == ("done", 0)
    assert differences(before, machine.snapshot()) == []


def test_uninstall_leaves_the_machine_as_it_was(bench: Workbench) -> None:
    before = bench.machine.snapshot()
    machine = installed(bench)
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert left_behind(before, machine) == []
    assert half_done(machine) == []


@pytest.mark.timeout(60)
def test_an_install_cut_off_again_and_again_comes_through(bench: Workbench) -> None:
    before = bench.machine.snapshot()
    result = Relentless(bench, WHENS, FirstOfKind(2, {})).through(lambda: bench.install(steps()))
    assert result.status == "done", result.failure
    assert bench.install(steps()).changes == 0
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert left_behind(before, bench.machine) == []


def test_guarded_commands_are_those_of_the_embedded_edition_and_one_more() -> None:
    """What the engine cannot check by itself is listed by hand, for both editions in one list."""
    commands = [step.resource for step in steps() if isinstance(step.resource, GuardedCommand)]
    found = {command.name: command.undo or "taken back by rm" for command in commands}
    listed = yaml.safe_load((DATA / "guarded.yaml").read_text())
    assert found == {"kubeadm images": "they lie in containerd's store and go with it"} | {
        name: reason for name, reason in listed.items() if name.startswith("kubeadm ")
    }
