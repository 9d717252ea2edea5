"""Undo after somebody else changed things: what is theirs stays, and is said."""

from __future__ import annotations

import pytest

from installers.core.actions.aside import MoveAside
from installers.core.actions.files import MakeDirectory, PutBlock, PutFile
from installers.core.actions.kernel import LoadModule, SetSysctl
from installers.core.actions.mounts import MountNow
from installers.core.actions.packages import InstallPackages
from installers.core.actions.units import StartUnit
from installers.core.errors import Failure
from installers.core.model import Action, Done, Irreversible, Left
from tests.fake import FakeHost, FakeMachine, Package, debian
from tests.fake.tree import Mount


def _do(action: Action, host: FakeHost) -> Action:
    inverse = action.inverse(host)
    assert not isinstance(inverse, Irreversible)
    action.execute(host)
    return inverse


@pytest.fixture
def machine() -> FakeMachine:
    return debian()


def test_edited_file_stays(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    inverse = _do(PutFile("/etc/a.conf", "x\n"), host)
    machine.tree.file("/etc/a.conf", "edited\n")
    assert inverse.execute(host) == Left("/etc/a.conf", "it was changed since we wrote it")
    assert machine.tree.text("/etc/a.conf") == "edited\n"


def test_file_over_theirs_that_they_removed_is_not_brought_back(machine: FakeMachine) -> None:
    machine.tree.file("/etc/a.conf", "theirs\n")
    host = FakeHost(machine)
    inverse = _do(PutFile("/etc/a.conf", "x\n"), host)
    machine.tree.unlink("/etc/a.conf")
    assert inverse.execute(host) == Left("/etc/a.conf", "it was removed since")


def test_lines_added_around_a_block_stay(machine: FakeMachine) -> None:
    machine.tree.file("/etc/hosts", "127.0.0.1 localhost\n")
    host = FakeHost(machine)
    inverse = _do(PutBlock("/etc/hosts", "names", "10.0.0.1 one"), host)
    machine.tree.file("/etc/hosts", "::1 six\n" + machine.tree.text("/etc/hosts") + "10.0.0.9 nine\n")
    assert inverse.execute(host) == Done()
    assert machine.tree.text("/etc/hosts") == "::1 six\n127.0.0.1 localhost\n10.0.0.9 nine\n"


def test_full_directory_stays(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    inverse = _do(MakeDirectory("/srv/data"), host)
    machine.tree.file("/srv/data/photo", "x")
    assert inverse.execute(host) == Left("/srv/data", "it is not empty: photo")


def test_what_was_moved_aside_does_not_replace_something_new(machine: FakeMachine) -> None:
    machine.tree.file("/etc/a.conf", "old\n")
    host = FakeHost(machine)
    inverse = _do(MoveAside("/etc/a.conf"), host)
    machine.tree.file("/etc/a.conf", "new\n")
    outcome = inverse.execute(host)
    assert isinstance(outcome, Left)
    assert outcome.why == "something else is at /etc/a.conf now"
    assert machine.tree.text(outcome.what) == "old\n"


def test_sysctl_set_by_another_stays(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    inverse = _do(SetSysctl("vm.max_map_count", "262144"), host)
    machine.tree.file("/proc/sys/vm/max_map_count", "999999\n")
    assert inverse.execute(host) == Left("vm.max_map_count", "it was set to 999999 since")


def test_busy_module_stays(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    inverse = _do(LoadModule("overlay"), host)
    machine.kernel.busy.add("overlay")
    outcome = inverse.execute(host)
    assert outcome == Left("kernel module overlay", "modprobe: FATAL: Module overlay is in use.")


def test_something_else_mounted_stays(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    inverse = _do(MountNow("tmpfs", "/srv", "tmpfs"), host)
    machine.tree.mounts.append(Mount("/srv", "/dev/sdb1", "ext4", "rw", "/"))
    assert inverse.execute(host) == Left("/srv", "something else is mounted there now")


def test_package_needed_by_a_later_one_stays(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    inverse = _do(InstallPackages(("socat",)), host)
    machine.dpkg.offer(Package("theirs", depends=("socat",)))
    host.run(("apt-get", "install", "theirs"), timeout=1)
    outcome = inverse.execute(host)
    assert isinstance(outcome, Left)
    assert outcome.why == "needed by what was installed since: theirs"
    assert machine.dpkg.has("socat")


def test_package_that_was_there_is_not_removed(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    host.run(("apt-get", "install", "libwrap0"), timeout=1)
    inverse = _do(InstallPackages(("socat",)), host)
    assert inverse.execute(host) == Done()
    assert machine.dpkg.has("libwrap0")
    assert not machine.dpkg.has("socat")


def test_packages_start_nothing(machine: FakeMachine) -> None:
    _do(InstallPackages(("etcd-server",)), FakeHost(machine))
    assert not machine.units.running
    assert not machine.tree.exists("/usr/sbin/policy-rc.d")


def test_start_that_fails_ends_in_a_diagnosis(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    _do(InstallPackages(("etcd-server",)), host)
    machine.units.fails.add("etcd.service")
    with pytest.raises(Failure) as caught:
        StartUnit("etcd.service").execute(host)
    assert caught.value.id == "OLR-UNIT-003"
    assert "etcd.service" in caught.value.what


def test_unknown_owner_writes_nothing(machine: FakeMachine) -> None:
    with pytest.raises(Failure) as caught:
        PutFile("/etc/new/a.conf", "x", 0o600, owner="nobody-here").execute(FakeHost(machine))
    assert caught.value.id == "OLR-FILE-001"
    assert not machine.tree.exists("/etc/new")
