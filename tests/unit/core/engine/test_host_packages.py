"""Host packages of other families and SELinux through the engine: planned, installed, cut off, taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from installers.core.facts.programs import Need
from installers.core.model import Output, Query, Step
from installers.core.resources.programs import Labels, Programs, SelinuxPolicies
from tests.fake import Crash, FakeMachine, debian, differences
from tests.fake.commands import Call
from tests.fake.managers import with_manager
from tests.unit.core.engine.test_debian12 import KEPT
from tests.unit.core.engine.workbench import Workbench

ENFORCE = "/sys/fs/selinux/enforce"
LABEL = "/var/lib/label"


def steps(name: str) -> list[Step]:
    return [Step(Programs("k3s", (Need("tool", ((name, "tool"),)),)), "k3s", "cluster")]


@pytest.fixture(params=["dnf", "zypper", "pacman"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def bench_with(tmp_path: Path, name: str) -> Workbench:
    machine = debian()
    with_manager(machine, name)
    return Workbench(tmp_path, machine=machine)


def test_installed_once_and_taken_back(tmp_path: Path, hasty: None, name: str) -> None:
    bench = bench_with(tmp_path, name)
    before = bench.machine.snapshot(*KEPT)
    first = bench.install(steps(name))
    assert (first.status, first.changes) == ("done", 1), first.failure
    again = bench.install(steps(name))
    assert (again.status, again.changes) == ("done", 0)
    bench.undo()
    assert differences(before, bench.machine.snapshot(*KEPT)) == []


@pytest.mark.parametrize("step", range(1, 6))
def test_cut_off_it_is_completed_by_the_next_run_and_taken_back(
    tmp_path: Path, hasty: None, name: str, step: int
) -> None:
    bench = bench_with(tmp_path, name)
    before = bench.machine.snapshot(*KEPT)
    bench.machine.crash.arm(1, "inside", step=step)
    with pytest.raises(Crash):
        bench.install(steps(name))
    bench.machine.crash.disarm()
    result = bench.install(steps(name))
    assert result.status == "done", result.failure
    assert bench.machine.tree.text("/var/lib/host-packages").split() == ["library", "tool"]
    bench.undo()
    assert differences(before, bench.machine.snapshot(*KEPT)) == []


def _labelled(machine: FakeMachine) -> None:
    def restorecon(machine: FakeMachine, call: Call):  # type: ignore[no-untyped-def]
        yield
        machine.tree.file(LABEL, "container_runtime_exec_t")

    machine.commands["restorecon",] = restorecon
    wrong = "Would relabel /usr/bin/tool from bin_t to container_runtime_exec_t\n"
    query = Query("restorecon", ("-n", "-v", "-i", "/usr/bin/tool"))
    machine.answers = _Following(machine, query, wrong)


class _Following(dict[Query, Output]):
    """restorecon's answer as the label is now; everything else as before."""

    def __init__(self, machine: FakeMachine, query: Query, wrong: str) -> None:
        super().__init__()
        self.machine, self.query, self.wrong, self.others = machine, query, wrong, machine.answers

    def __contains__(self, query: object) -> bool:
        return query == self.query or query in self.others

    def __getitem__(self, query: Query) -> Output:
        if query == self.query:
            return Output(0, "" if self.machine.tree.exists(LABEL) else self.wrong, "")
        return self.others[query]


def test_where_selinux_is_on_what_was_put_there_gets_its_label(tmp_path: Path, hasty: None) -> None:
    bench = bench_with(tmp_path, "dnf")
    bench.machine.tree.file(ENFORCE, "1")
    _labelled(bench.machine)
    label = Labels("k3s", ("/usr/bin/tool",), ("/var/lib/rancher/k3s",))
    wanted = [*steps("dnf"), Step(label, "k3s", "cluster", frozenset({"programs:k3s"}))]
    result = bench.install(wanted)
    assert result.status == "done", result.failure
    assert bench.machine.tree.text(LABEL) == "container_runtime_exec_t"
    assert bench.install(wanted).changes == 0
    # Labels go with the files they are on: nothing of them is told of as left behind.
    assert bench.uninstall().status == "done"


def test_without_k3s_policy_nothing_is_changed_where_selinux_enforces(tmp_path: Path, hasty: None) -> None:
    bench = bench_with(tmp_path, "dnf")
    bench.machine.tree.file(ENFORCE, "1")
    before = bench.machine.snapshot(*KEPT)
    result = bench.install([Step(SelinuxPolicies(("container-selinux", "k3s-selinux")), "k3s", "cluster")])
    assert result.failure is not None
    assert result.failure.id == "OLR-PKG-030"
    assert differences(before, bench.machine.snapshot(*KEPT)) == []
