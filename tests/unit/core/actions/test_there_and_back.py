"""Every action of this family: done and undone leaves no trace, also when cut off anywhere in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from installers.core.actions.aside import MoveAside
from installers.core.actions.files import DropFile, MakeDirectory, PutBlock, PutFile, PutSymlink
from installers.core.actions.kernel import LoadModule, SetSysctl
from installers.core.actions.mounts import MountNow
from installers.core.actions.packages import InstallPackages
from installers.core.actions.units import DisableUnit, EnableUnit, PutUnitFile, ReloadSystemd, StartUnit, StopUnit
from installers.core.actions.users import AddGroup, AddUser
from installers.core.component.codec import ActionCodec
from installers.core.model import Action, Done, Irreversible, Secret
from tests.fake import Crash, FakeHost, FakeMachine, debian, differences

CODEC = ActionCodec()

OWN = ("/var/lib/olares*", "/var/cache/olares*")
"""The installation's own directories: emptied by uninstall, not by a single undo."""
UNIT = "[Service]\nExecStart=/usr/bin/thing\n[Install]\nWantedBy=multi-user.target\n"


@dataclass(frozen=True)
class Scenario:
    """An action on a machine prepared for it."""

    name: str
    action: Action
    prepare: Callable[[FakeMachine], object] = lambda machine: None


def _thing(machine: FakeMachine) -> None:
    machine.tree.file("/etc/systemd/system/thing.service", UNIT)
    machine.units.load()


def _running(machine: FakeMachine) -> None:
    _thing(machine)
    machine.units.start("thing.service")


def _enabled(machine: FakeMachine) -> None:
    _thing(machine)
    machine.units.enable("thing.service")


def _needing(machine: FakeMachine) -> None:
    """A kernel in which a module brings two more along, of which one is there already."""
    machine.kernel.needs["br_netfilter"] = ("bridge", "stp", "llc")
    machine.tree.file(
        f"/lib/modules/{machine.kernel.release}/modules.dep",
        "kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz kernel/net/stp.ko.xz kernel/net/llc.ko\n",
    )
    machine.kernel.insert("llc")


def _loaded(machine: FakeMachine) -> None:
    machine.kernel.insert("overlay")


def _private(machine: FakeMachine) -> None:
    machine.tree.file("/etc/a.conf", "theirs\n", mode=0o600)


SCENARIOS = [
    Scenario("new file, new directories", PutFile("/etc/a/b/c.conf", "x\n", 0o600)),
    Scenario("file over a public one", PutFile("/etc/a.conf", "x\n"), lambda m: m.tree.file("/etc/a.conf", "theirs\n")),
    Scenario("file over a private one", PutFile("/etc/a.conf", "x\n"), _private),
    Scenario("file over bytes", PutFile("/etc/a.conf", "x\n"), lambda m: m.tree.file("/etc/a.conf", b"\xff\x00")),
    Scenario(
        "same content, other mode", PutFile("/etc/a.conf", "x\n", 0o600), lambda m: m.tree.file("/etc/a.conf", "x\n")
    ),
    Scenario("file over a link", PutFile("/etc/a.conf", "x\n"), lambda m: m.tree.link("/etc/a.conf", "/etc/b")),
    Scenario("new link", PutSymlink("/opt/x/k", "kubectl")),
    Scenario("link over a file", PutSymlink("/opt/k", "kubectl"), lambda m: m.tree.file("/opt/k", "theirs\n")),
    Scenario("link over a link", PutSymlink("/opt/k", "kubectl"), lambda m: m.tree.link("/opt/k", "old")),
    Scenario("new block in a new file", PutBlock("/etc/new/hosts", "names", "1 a")),
    Scenario(
        "block after an unended line", PutBlock("/etc/h", "names", "1 a"), lambda m: m.tree.file("/etc/h", "one\ntwo")
    ),
    Scenario(
        "other lines in a block",
        PutBlock("/etc/h", "n", "2 b\n"),
        lambda m: m.tree.file("/etc/h", "one\n# BEGIN olares n\n1 a\n# END olares n\ntwo\n", mode=0o640),
    ),
    Scenario("new directory", MakeDirectory("/srv/a/b", 0o700)),
    Scenario("directory, other mode", MakeDirectory("/srv/a", 0o700), lambda m: m.tree.directory("/srv/a")),
    Scenario("file aside", MoveAside("/etc/a.conf"), _private),
    Scenario("file dropped", DropFile("/etc/a.conf"), _private),
    Scenario("tree aside", MoveAside("/srv/t"), lambda m: m.tree.file("/srv/t/u/v", "x\n")),
    Scenario("packages", InstallPackages(("socat", "etcd-server"))),
    Scenario(
        "packages beside a policy of theirs",
        InstallPackages(("containerd",)),
        lambda m: m.tree.file("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 104\n", mode=0o755),
    ),
    Scenario("start", StartUnit("thing.service"), _thing),
    Scenario("enable", EnableUnit("thing.service"), _thing),
    Scenario("disable", DisableUnit("thing.service"), _enabled),
    Scenario("stop", StopUnit("thing.service"), _running),
    Scenario("unit file", PutUnitFile("new.service", "/etc/systemd/system/new.service", UNIT)),
    Scenario(
        "drop-in of a running unit",
        PutUnitFile("thing.service", "/etc/systemd/system/thing.service.d/o.conf", "[Service]\nNice=1\n"),
        _running,
    ),
    Scenario("reload", ReloadSystemd("thing.service"), _thing),
    Scenario("module", LoadModule("overlay"), lambda m: m.tree.directory("/sys/module")),
    Scenario("module with those it needs", LoadModule("br_netfilter"), _needing),
    Scenario("module that was loaded", LoadModule("overlay"), _loaded),
    Scenario("sysctl", SetSysctl("net.ipv4.ip_forward", "1")),
    Scenario("mount", MountNow("tmpfs", "/srv", "tmpfs")),
    Scenario("user", AddUser("olares", "/nonexistent", "/usr/sbin/nologin")),
    Scenario("group", AddGroup("olares")),
]


def _fresh(scenario: Scenario) -> tuple[FakeMachine, FakeHost, dict[str, object]]:
    machine = debian()
    scenario.prepare(machine)
    return machine, FakeHost(machine), machine.snapshot(*OWN)


def _stored_inverse(action: Action, host: FakeHost) -> Action:
    """The way back as the journal gives it again."""
    inverse = action.inverse(host)
    assert not isinstance(inverse, Irreversible)
    return CODEC.decode(CODEC.encode(inverse))


def _mutations(scenario: Scenario) -> int:
    machine, host, _ = _fresh(scenario)
    before = machine.crash.count
    scenario.action.execute(host)
    return machine.crash.count - before


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_done_and_undone(scenario: Scenario) -> None:
    machine, host, before = _fresh(scenario)
    inverse = _stored_inverse(scenario.action, host)
    assert scenario.action.execute(host) == Done()
    if not isinstance(scenario.action, ReloadSystemd) and scenario.name != "module that was loaded":
        assert differences(before, machine.snapshot(*OWN)), "the action did nothing"
    after = machine.snapshot(*OWN)
    for _ in range(2):
        assert inverse.execute(host) == Done()
        left = differences(before, machine.snapshot(*OWN))
        assert not [line for line in left if "stale" not in line], (left, after)


@pytest.mark.parametrize("when", ["before", "inside", "after"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_cut_off_anywhere(scenario: Scenario, when: str) -> None:
    """Cut off, recovered and taken back; cut off, recovered and done again, then taken back twice."""
    for number in range(1, _mutations(scenario) + 1):
        for again in (False, True):
            machine, host, before = _fresh(scenario)
            inverses = [_stored_inverse(scenario.action, host)]
            machine.crash_at(number, when)  # type: ignore[arg-type]
            with pytest.raises(Crash):
                scenario.action.execute(host)
            machine.crash.disarm()
            CODEC.decode(CODEC.encode(scenario.action)).recover(host)
            if again:
                inverses.append(_stored_inverse(scenario.action, host))
                scenario.action.execute(host)
            for inverse in reversed(inverses):
                assert inverse.execute(host) == Done(), (number, again)
            left = differences(before, machine.snapshot(*OWN))
            assert not left, (number, again, left)


def test_secret_never_stands_in_action_or_inverse() -> None:
    machine = debian()
    machine.tree.file("/var/lib/olares/secrets/db/admin", "hunter2hunter2", mode=0o600)
    machine.tree.file("/etc/app.conf", "password=oldsecret\n", mode=0o600)
    host = FakeHost(machine)
    action = PutFile("/etc/app.conf", f"password={Secret('db/admin')}\n", 0o600)
    inverse = action.inverse(host)
    assert not isinstance(inverse, Irreversible)
    action.execute(host)
    assert machine.tree.text("/etc/app.conf") == "password=hunter2hunter2\n"
    stored = "".join((*map(str, CODEC.encode(action)), *map(str, CODEC.encode(inverse))))
    assert "hunter2" not in stored
    assert "oldsecret" not in stored
    kept = [path for path in machine.tree.nodes if path.startswith("/var/lib/olares/before")]
    assert [machine.tree.nodes[path].mode for path in sorted(kept)] == [0o700, 0o600]
    assert inverse.execute(host) == Done()
    assert machine.tree.text("/etc/app.conf") == "password=oldsecret\n"


@pytest.mark.parametrize("when", ["before", "inside", "after"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_undo_cut_off_anywhere(scenario: Scenario, when: str) -> None:
    """An undo cut off, recovered and taken up again ends where an undo ends."""
    number = 0
    while True:
        number += 1
        machine, host, before = _fresh(scenario)
        inverse = _stored_inverse(scenario.action, host)
        scenario.action.execute(host)
        machine.crash_at(number, when)  # type: ignore[arg-type]
        try:
            inverse.execute(host)
        except Crash:
            machine.crash.disarm()
            inverse.recover(host)
            assert inverse.execute(host) == Done(), number
            left = differences(before, machine.snapshot(*OWN))
            assert not left, (number, left)
        else:
            return
