"""Engine kubernetes in the edition upstream on a simulated server: planned, installed, cut off, run again, undone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from installers.core.facts.objects import identity
from installers.core.model import Deferred, Step
from installers.core.resources.command import GuardedCommand
from installers.infrastructure.calico.manifest import names
from installers.install import Options, _steps, resolve
from installers.site import Site
from tests.fake import FakeMachine, FakeProbe, differences
from tests.fake.todays_kubernetes import stand_ins, upstream_server
from tests.unit.core.engine.debian_install import DATA, Relentless, half_done
from tests.unit.core.engine.test_debian12 import KEPT, WHENS, FirstOfKind
from tests.unit.core.engine.workbench import Workbench


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("artifacts.releases", "component.steps"):
        monkeypatch.setattr(f"installers.core.{module}.upstream", stand_ins)


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


def test_calico_is_applied_from_its_file_and_makes_the_node_ready(bench: Workbench) -> None:
    waiting = {item.step.resource.key: item.decision for item in bench.plan(steps()).deferred()}
    promised = waiting["objects:calico"]
    assert isinstance(promised, Deferred)
    machine = installed(bench)
    found = {identity(item) for item in machine.cluster.objects.values()}
    assert {may.target for may in promised.may_become} == set(names()) <= found
    assert machine.tree.exists("/etc/cni/net.d/10-calico.conflist")
    assert not machine.tree.exists("/etc/cni/net.d/10-olares.conflist")
    assert {"vxlan.calico", "cali0123456789a"} <= machine.network.links.keys()
    order = [step.resource.key for step in steps()]
    assert order.index("objects:calico") < order.index("wait:the node is Ready") < order.index("objects:coredns")
    after = {step.resource.key: step.after for step in steps()}
    assert after["objects:coredns"] & {key for key in order if "calico-kube-controllers" in key}


def test_a_manifest_somebody_changed_is_put_back_before_its_objects_are_looked_at(bench: Workbench) -> None:
    machine = installed(bench)
    machine.tree.file("/etc/olares/calico.yaml", "kind: Secret\n")
    plan = bench.plan(steps())
    assert "objects:calico" in {item.step.resource.key for item in plan.deferred()}
    assert "file:/etc/olares/calico.yaml" in {item.step.resource.key for item in plan.changes()}
    assert bench.install(steps()).status == "done"
    assert bench.plan(steps()).changes() == ()


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
