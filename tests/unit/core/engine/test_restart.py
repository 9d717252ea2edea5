"""A Raspberry Pi: its command line is written, the run ends, and goes on after the restart; undone to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from installers.core.model import Change, Deferred
from tests.fake import FakeMachine, differences
from tests.fake.debian12 import debian12
from tests.unit.core.engine.debian_install import steps
from tests.unit.core.engine.test_debian12 import KEPT
from tests.unit.core.engine.workbench import Workbench

CMDLINE = "/boot/firmware/cmdline.txt"
LINE = "console=serial0,115200 root=PARTUUID=00000000-02 rootwait\n"
CONTROLLERS = "/sys/fs/cgroup/cgroup.controllers"


@pytest.fixture
def pi(tmp_path: Path) -> Workbench:
    machine = debian12()
    machine.tree.file("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    machine.tree.file(CMDLINE, LINE, mode=0o755)
    machine.tree.file(CONTROLLERS, "cpuset cpu io pids\n")
    return Workbench(tmp_path, machine=machine)


def restarted(machine: FakeMachine) -> None:
    if "cgroup_enable=memory" in machine.tree.text(CMDLINE):
        machine.tree.file(CONTROLLERS, "cpuset cpu io memory pids\n")


@pytest.mark.usefixtures("hasty")
def test_the_run_ends_before_anything_of_the_cluster_and_goes_on_after_the_restart(pi: Workbench) -> None:
    before = pi.machine.snapshot(*KEPT)
    result = pi.install(list(steps()))
    assert result.failure is not None
    assert (result.status, result.failure.id) == ("failed", "OLR-BOOT-001")
    assert pi.machine.tree.text(CMDLINE) == LINE.replace("\n", " cgroup_memory=1 cgroup_enable=memory\n")
    assert pi.machine.units.running == {}
    assert not any(name.startswith("package containerd") for name in pi.machine.snapshot())

    # Not restarted yet: nothing is done a second time, and the same is said.
    plan = pi.plan(list(steps()))
    assert [i.step.resource.key for i in plan.items if isinstance(i.decision, Deferred) and i.decision.id] == [
        "restart:memory"
    ]
    again = pi.install(list(steps()))
    assert again.failure is not None
    assert again.failure.id == "OLR-BOOT-001"
    assert not any(item.step.component == "host" for item in plan.items if isinstance(item.decision, Change)), (
        "the host was made fit already"
    )

    restarted(pi.machine)
    assert pi.install(list(steps())).status == "done"
    assert "kubelet.service" in pi.machine.units.running

    assert pi.uninstall().status == "done"
    assert pi.machine.tree.text(CMDLINE) == LINE
    pi.machine.tree.file(CONTROLLERS, "cpuset cpu io pids\n")
    left = [line for line in differences(before, pi.machine.snapshot(*KEPT)) if "/var/lib/olares" not in line]
    assert left == []
