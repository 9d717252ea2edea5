"""The host component on computers that need it: cut off at every mutation, taken up again, taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from installers.core.component.values import Platform, Values
from installers.core.model import Resource, Step
from installers.infrastructure.host.install import resources
from installers.site import Site
from tests.fake import FakeMachine, differences
from tests.fake.debian12 import debian12
from tests.fake.walls import with_firewalld, with_ufw
from tests.unit.core.engine.debian_install import Relentless
from tests.unit.core.engine.workbench import Workbench, chain

OWN = ("/var/lib/olares*", "/var/cache/olares*")
CONF_D = "/etc/NetworkManager/conf.d"
UNIT = "olares-shared-mounts.service"


def fedora(machine: FakeMachine) -> None:
    """NetworkManager and firewalld, which has one rule of its owner's and half a rule of ours."""
    with_firewalld(machine)
    machine.tree.file("/run/firewalld/rules", "public port=22/tcp\ntrusted source=10.233.64.0/18\n")
    machine.tree.file("/etc/firewalld/zones/public.xml", "<zone>\n<!-- Its owner's. -->\n<port is='22/tcp'/></zone>\n")
    start = f"/usr/sbin/NetworkManager {CONF_D}/90-olares.conf"
    machine.tree.file(
        "/usr/lib/systemd/system/NetworkManager.service", f"[Service]\nExecStart={start}\nExecReload=dbus\n"
    )
    machine.tree.directory(CONF_D)
    machine.units.load()
    machine.units.start("NetworkManager.service")


def lxc(machine: FakeMachine) -> None:
    """No kernel log, and a root that is shared only while our unit says so."""
    machine.tree.unlink("/dev/kmsg")
    shared = machine.tree.live["/proc/self/mountinfo"]

    def mountinfo() -> str:
        return shared() if UNIT in machine.units.running else shared().replace("shared:0 ", "")

    machine.tree.live["/proc/self/mountinfo"] = mountinfo


HOSTS: dict[str, Callable[[FakeMachine], None]] = {"fedora": fedora, "ufw": with_ufw, "lxc": lxc}


def steps() -> list[Step]:
    wanted: list[Resource] = list(
        resources(Site(edition="debian"), Values(Platform("bookworm", "amd64"), opens=(6443,)))
    )
    return chain(*wanted, component="host")


def prepared(folder: Path, host: str) -> Workbench:
    machine = debian12()
    HOSTS[host](machine)
    return Workbench(folder, machine=machine)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("when", ["before", "inside", "after"])
@pytest.mark.parametrize("host", HOSTS)
def test_cut_off_anywhere_it_ends_the_same_and_goes_back(host: str, when: str, tmp_path: Path) -> None:
    plain = prepared(tmp_path / "plain", host)
    before = plain.machine.snapshot(*OWN)
    result = plain.install(steps())
    assert result.status == "done", result.failure
    assert result.changes > 3
    assert plain.install(steps()).changes == 0
    assert plain.machine.units.stale() == {}

    relentless = Relentless(prepared(tmp_path / "cut", host), (when,))  # type: ignore[arg-type]
    cut = relentless.bench
    result = relentless.through(lambda: cut.install(steps()))
    assert result.status == "done", result.failure
    assert len(relentless.crashes) > 3
    assert differences(plain.machine.snapshot(*OWN), cut.machine.snapshot(*OWN)) == []
    assert cut.install(steps()).changes == 0

    result = relentless.through(cut.uninstall)
    assert (result.status, result.left) == ("done", ())
    assert differences(before, cut.machine.snapshot(*OWN)) == []


@pytest.mark.usefixtures("hasty")
def test_what_ended_its_own_condition_is_repaired(tmp_path: Path) -> None:
    """Mounts are shared, by our unit; that it is damaged is seen all the same."""
    bench = prepared(tmp_path, "lxc")
    assert bench.install(steps()).status == "done"
    bench.machine.tree.file(f"/etc/systemd/system/{UNIT}", "damaged\n")
    bench.machine.units.load()
    repaired = bench.install(steps())
    assert (repaired.status, repaired.changes > 0) == ("done", True)
    assert "make-rshared" in bench.machine.tree.text(f"/etc/systemd/system/{UNIT}")


@pytest.mark.usefixtures("hasty")
def test_rules_their_owner_added_meanwhile_stay(tmp_path: Path) -> None:
    bench = prepared(tmp_path, "ufw")
    assert bench.install(steps()).status == "done"
    bench.machine.tree.file("/etc/ufw/rules", bench.machine.tree.text("/etc/ufw/rules") + "allow 80/tcp\n")
    assert bench.uninstall().status == "done"
    assert bench.machine.tree.text("/etc/ufw/rules") == "allow 80/tcp\n"
