"""Packages by dnf, zypper and pacman: done and undone, also when cut off in between; others' packages stay."""

from __future__ import annotations

import pytest

from installers.core.actions.programs import InstallHostPackages, PutLabels, RemoveHostPackages, command
from installers.core.component.codec import ActionCodec
from installers.core.errors import Failure
from installers.core.facts.programs import MissingPrograms
from installers.core.model import Action, Done, Irreversible, Left
from tests.fake import Crash, FakeHost, FakeMachine, debian, differences
from tests.fake.commands import Call
from tests.fake.managers import Manager, with_manager

CODEC = ActionCodec()
MANAGERS = ("dnf", "zypper", "pacman")
OWN = ("/var/lib/olares*", "/var/cache/olares*")


def fresh(name: str) -> tuple[FakeMachine, FakeHost, Manager]:
    machine = debian()
    manager = with_manager(machine, name)
    return machine, FakeHost(machine), manager


def way_back(action: Action, host: FakeHost) -> Action:
    inverse = action.inverse(host)
    assert not isinstance(inverse, Irreversible)
    return CODEC.decode(CODEC.encode(inverse))


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting takes no time, and the clock goes on all the same."""
    now = [0.0]
    module = "installers.core.actions.programs.time"
    monkeypatch.setattr(f"{module}.monotonic", lambda: now[0])
    monkeypatch.setattr(f"{module}.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))


@pytest.mark.parametrize("name", MANAGERS)
def test_done_and_undone(name: str) -> None:
    machine, host, manager = fresh(name)
    before = machine.snapshot(*OWN)
    action = InstallHostPackages(name, ("tool",))
    inverse = way_back(action, host)
    assert inverse == RemoveHostPackages(name, (("library", "1-1"), ("tool", "1-1")))
    assert action.execute(host) == Done()
    assert set(manager.installed()) == {"tool", "library"}
    assert MissingPrograms(("tool",)).load(host) == ()
    for _ in range(2):
        assert inverse.execute(host) == Done()
        assert differences(before, machine.snapshot(*OWN)) == []


@pytest.mark.parametrize("name", MANAGERS)
def test_what_was_there_before_stays(name: str) -> None:
    _, host, manager = fresh(name)
    InstallHostPackages(name, ("library",)).execute(host)
    action = InstallHostPackages(name, ("tool",))
    inverse = way_back(action, host)
    assert inverse == RemoveHostPackages(name, (("tool", "1-1"),))
    action.execute(host)
    inverse.execute(host)
    assert manager.installed() == ["library"]


@pytest.mark.parametrize("name", MANAGERS)
def test_what_others_need_since_is_left(name: str) -> None:
    _, host, manager = fresh(name)
    action = InstallHostPackages(name, ("tool",))
    inverse = way_back(action, host)
    action.execute(host)
    InstallHostPackages(name, ("other",)).execute(host)
    assert isinstance(inverse.execute(host), Left)
    assert set(manager.installed()) == {"tool", "library", "other"}


@pytest.mark.parametrize("name", MANAGERS)
@pytest.mark.parametrize("step", range(1, 6))
def test_cut_off_anywhere_it_is_completed_and_taken_back(name: str, step: int) -> None:
    """Also between a package's files and the manager's record of them, which no fact could see later."""
    machine, host, manager = fresh(name)
    before = machine.snapshot(*OWN)
    action = InstallHostPackages(name, ("tool",))
    inverse = way_back(action, host)
    machine.crash.arm(1, "inside", step=step)
    with pytest.raises(Crash):
        action.execute(host)
    machine.crash.disarm()
    action.recover(host)
    assert set(manager.installed()) == {"tool", "library"}
    inverse.execute(host)
    assert differences(before, machine.snapshot(*OWN)) == []


@pytest.mark.parametrize("name", MANAGERS)
@pytest.mark.parametrize("step", range(1, 6))
def test_a_removal_cut_off_goes_on(name: str, step: int) -> None:
    machine, host, _ = fresh(name)
    before = machine.snapshot(*OWN)
    action = InstallHostPackages(name, ("tool",))
    inverse = way_back(action, host)
    action.execute(host)
    machine.crash.arm(1, "inside", step=step)
    with pytest.raises(Crash):
        inverse.execute(host)
    machine.crash.disarm()
    inverse.recover(host)
    assert inverse.execute(host) == Done()
    assert differences(before, machine.snapshot(*OWN)) == []


@pytest.mark.parametrize("name", MANAGERS)
def test_a_held_lock_is_waited_for(name: str) -> None:
    _, host, manager = fresh(name)
    manager.locked = 3
    assert InstallHostPackages(name, ("tool",)).execute(host) == Done()
    assert set(manager.installed()) == {"tool", "library"}


@pytest.mark.parametrize("name", MANAGERS)
def test_a_lock_that_stays_is_said_after_five_minutes(name: str) -> None:
    _, host, manager = fresh(name)
    manager.locked = 1000
    with pytest.raises(Failure) as said:
        InstallHostPackages(name, ("tool",)).execute(host)
    assert said.value.id == "OLR-PKG-022"
    assert 1000 - manager.locked == 61, "every five seconds"
    assert manager.installed() == []


@pytest.mark.parametrize("name", MANAGERS)
def test_an_unknown_package_is_said_before_anything_is_done(name: str) -> None:
    _, host, manager = fresh(name)
    with pytest.raises(Failure) as said:
        InstallHostPackages(name, ("nothing",)).inverse(host)
    assert said.value.id == "OLR-PKG-020"
    assert manager.installed() == []


@pytest.mark.parametrize("name", MANAGERS)
def test_nobody_is_asked_and_nothing_else_comes_or_goes(name: str) -> None:
    said = {
        "dnf": ("-y", "--setopt=install_weak_deps=False", "--setopt=clean_requirements_on_remove=False"),
        "zypper": ("--non-interactive", "--no-recommends", "--no-clean-deps"),
        "pacman": ("--noconfirm", "--needed", "--noconfirm"),
    }[name]
    install, remove = (command(name, verb, ("a",)) for verb in ("install", "remove"))
    assert {said[0], said[1]} <= set(install)
    assert {said[0], said[2]} <= set(remove)
    assert install[-1] == remove[-1] == "a"
    assert not [word for word in (*install, *remove) if "import" in word or "allow" in word or "nogpg" in word]


def test_labels_are_put_on_what_is_here_alone() -> None:
    """restorecon -i fails where the directory of a missing path is missing too; so it is not named."""
    machine = debian()
    asked: list[tuple[str, ...]] = []

    def restorecon(machine: FakeMachine, call: Call):  # type: ignore[no-untyped-def]
        yield
        asked.append(tuple(call.argv))

    machine.commands["restorecon",] = restorecon
    machine.tree.file("/usr/local/bin/k3s", "x")
    host = FakeHost(machine)
    action = PutLabels("k3s", ("/usr/local/bin/k3s", "/var/lib/rancher/k3s/agent/images"))
    inverse = way_back(action, host)
    assert action.execute(host) == Done()
    assert asked == [("restorecon", "-i", "/usr/local/bin/k3s")]
    host.remove("/usr/local/bin/k3s")
    assert inverse.execute(host) == Done()
    assert len(asked) == 1
