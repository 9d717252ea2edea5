"""The real Debian 12 plan, cut off before, inside and after its actions, taken up again, taken back.

By default the first actions of every kind are cut off, at every mutation; ``pytest -m long`` cuts off all of them.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from installers.core.model import ClusterAbsent
from installers.core.model.events import ActionStarted
from installers.core.resources.command import GuardedCommand
from tests.fake import FakeHost, FakeMachine, differences
from tests.fake.crash import When
from tests.fake.debian12 import copied
from tests.unit.core.engine.debian_install import (
    DATA,
    Relentless,
    debian_bench,
    generated,
    half_done,
    name_of,
    plain,
    steps,
    unlike,
)
from tests.unit.core.engine.workbench import Workbench

KEPT = ("/var/cache/olares*", "/var/lib/olares/built*", "/var/lib/olares/volumes*", "/var/lib/olares/secrets*")
"""What is there after the undo of everything: the cache and its ledger, user data, and the secrets that open it.
The first two go with the program's own traces at the end of uninstall; the others with ``--all``."""

WHENS: tuple[When, ...] = ("before", "inside", "after")


@dataclass(frozen=True)
class Undisturbed:
    """An install nobody cut off: the machine before and after it, and the actions it took."""

    before: dict[str, object]
    after: dict[str, object]
    machine: FakeMachine
    journal: bytes
    started: tuple[ActionStarted, ...]


@pytest.fixture(scope="module")
def undisturbed(hasty_throughout: None, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    bench = debian_bench(tmp_path_factory.mktemp("undisturbed"))
    before = bench.machine.snapshot()
    result = bench.install(list(steps()))
    assert result.status == "done", result.failure
    started = tuple(event for event in bench.events if isinstance(event, ActionStarted))
    journal = Path(bench.path).read_bytes()
    return Undisturbed(before, bench.machine.snapshot(), bench.machine, journal, started)


def installed(undisturbed: Undisturbed, folder: Path) -> Workbench:
    """The installed machine and its journal, once more."""
    bench = Workbench(folder, machine=copied(undisturbed.machine))
    Path(bench.path).parent.mkdir(parents=True)
    Path(bench.path).write_bytes(undisturbed.journal)
    return bench


@dataclass
class FirstOfKind:
    """The first ``count`` actions of every kind."""

    count: int
    seen: dict[str, set[str]]

    def __call__(self, event: ActionStarted) -> bool:
        names = self.seen.setdefault(event.kind, set())
        if len(names) < self.count:
            names.add(event.what)
        return event.what in names


def test_every_phase_is_in_it_and_nothing_is_blocked(undisturbed: Undisturbed, tmp_path: Path) -> None:
    bench = debian_bench(tmp_path)
    plan = bench.plan(list(steps()))
    assert plan.blocked() == ()
    phases = Counter(step.phase for step in steps())
    assert all(phases[name] for name in ("host", "runtime", "cluster", "services", "platform", "artifacts"))


def test_a_second_install_changes_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    bench = installed(undisturbed, tmp_path)
    assert bench.plan(list(steps())).changes() == ()
    result = bench.install(list(steps()))
    assert (result.status, result.changes) == ("done", 0)
    assert differences(undisturbed.after, bench.machine.snapshot()) == []


def test_no_running_unit_missed_a_restart(undisturbed: Undisturbed) -> None:
    assert undisturbed.machine.units.stale() == {}
    assert undisturbed.machine.units.failed == set()
    assert {"containerd.service", "etcd.service", "kubelet.service"} <= undisturbed.machine.units.running.keys()


def test_uninstall_leaves_the_machine_as_it_was(undisturbed: Undisturbed, tmp_path: Path) -> None:
    bench = installed(undisturbed, tmp_path)
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert_as_before(undisturbed, bench)
    kept = {path for path in bench.machine.tree.nodes if path.startswith("/var/lib/olares/volumes/") and "data" in path}
    assert kept, "user data is gone"
    assert {row.what for row in result.kept} >= {"/var/lib/olares/secrets/postgres/admin"}


def test_an_uninstall_asks_the_api_nothing(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes with the cluster, so that nothing waits for one that is dead."""
    bench = installed(undisturbed, tmp_path)
    asked: list[str] = []

    def dead(name: str) -> Callable[..., NoReturn]:
        def call(*_: object) -> NoReturn:
            asked.append(name)
            raise ClusterAbsent(name)

        return call

    monkeypatch.setattr(FakeHost, "objects", dead("list"))
    monkeypatch.setattr(FakeHost, "apply_object", dead("apply"))
    monkeypatch.setattr(FakeHost, "delete_object", dead("delete"))
    assert (bench.uninstall().status, asked) == ("done", [])


def assert_as_before(undisturbed: Undisturbed, bench: Workbench) -> None:
    after = bench.machine.snapshot(*KEPT)
    kept = {name for name in undisturbed.before if any(fnmatch.fnmatchcase(name, f"path {glob}") for glob in KEPT)}
    assert not kept, "there was something of ours before"
    left = [line for line in differences(plain(undisturbed.before), plain(after)) if line != "+ path /var/lib/olares"]
    assert not left, "\n".join(left)
    assert half_done(bench.machine) == []


def test_every_generated_value_is_one(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Two installs nobody cut off differ exactly there; an entry of the data file that never matches fails."""
    bench = debian_bench(tmp_path)
    assert bench.install(list(steps())).status == "done"
    other = bench.machine.snapshot()
    assert not (lines := unlike(undisturbed.after, bench.machine)), "\n".join(lines)
    differing = [name for name, value in undisturbed.after.items() if other[name] != value]
    idle = [glob for row in generated() if not fnmatch.filter(differing, glob := name_of(row))]
    assert idle == [], "nothing there differs between two runs"


def cut_off_and_taken_up(undisturbed: Undisturbed, relentless: Relentless) -> None:
    bench = relentless.bench
    result = relentless.through(lambda: bench.install(list(steps())))
    assert result.status == "done", result.failure
    lines = unlike(undisturbed.after, bench.machine)
    assert not lines, "\n".join(lines)
    assert half_done(bench.machine) == []
    with bench.journal() as journal:
        assert journal.owed() == {}
        assert journal.scopes() == ()
    assert bench.install(list(steps())).changes == 0
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert_as_before(undisturbed, bench)


@pytest.mark.timeout(60)
def test_an_install_cut_off_again_and_again_ends_the_same(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Cut off in the first action of every kind at each of its mutations, by turns before, inside, after."""
    relentless = Relentless(debian_bench(tmp_path), WHENS, FirstOfKind(1, {}))
    cut_off_and_taken_up(undisturbed, relentless)
    kinds = {event.kind for event in undisturbed.started}
    assert {name.split(" ")[1] for name in relentless.attempts} >= {"put-file"}
    assert {kind for kind in kinds if not any(f" {kind} " in name for name in relentless.attempts)} == set()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("when", WHENS)
def test_an_install_cut_off_at_every_mutation_ends_the_same(
    undisturbed: Undisturbed, tmp_path: Path, when: When
) -> None:
    cut_off_and_taken_up(undisturbed, Relentless(debian_bench(tmp_path), (when,)))


def undone_again_and_again(undisturbed: Undisturbed, relentless: Relentless) -> None:
    result = relentless.through(relentless.bench.uninstall)
    assert (result.status, result.left) == ("done", ())
    assert_as_before(undisturbed, relentless.bench)


@pytest.mark.timeout(60)
def test_an_uninstall_cut_off_again_and_again_ends_the_same(undisturbed: Undisturbed, tmp_path: Path) -> None:
    relentless = Relentless(installed(undisturbed, tmp_path), WHENS, FirstOfKind(2, {}))
    undone_again_and_again(undisturbed, relentless)
    assert len(relentless.crashes) > 20


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("when", WHENS)
def test_an_uninstall_cut_off_at_every_mutation_ends_the_same(
    undisturbed: Undisturbed, tmp_path: Path, when: When
) -> None:
    undone_again_and_again(undisturbed, Relentless(installed(undisturbed, tmp_path), (when,)))


def test_guarded_and_irreversible_commands_are_the_listed_ones() -> None:
    """Each is a promise the engine cannot check by itself: a new one is written down in the data file, by hand."""
    commands = [step.resource for step in steps() if isinstance(step.resource, GuardedCommand)]
    found = {command.name: command.undo or "taken back by rm" for command in commands}
    assert all(command.undo or command.undo_argv[0] == "rm" for command in commands)
    assert found == yaml.safe_load((DATA / "guarded.yaml").read_text())


def test_what_the_journal_has_no_way_back_for_is_listed(undisturbed: Undisturbed, tmp_path: Path) -> None:
    rows = installed(undisturbed, tmp_path).rows("done")
    guarded = yaml.safe_load((DATA / "guarded.yaml").read_text())
    final = {row.target: row.irreversible for row in rows if row.inverse is None}
    assert final == {name: reason for name, reason in guarded.items() if reason != "taken back by rm"}


@pytest.mark.timeout(60)
def test_what_was_damaged_and_repaired_goes_back_to_what_was_before_us(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    bench = installed(undisturbed, tmp_path)
    tree = bench.machine.tree
    tree.file("/etc/olares/containerd.toml", "damaged\n")
    tree.file("/etc/systemd/system/etcd.service.d/olares.conf", "[Service]\nNice=5\n")
    tree.unlink("/usr/local/bin/kubectl")
    tree.link("/usr/local/bin/kubectl", "elsewhere")
    repaired = bench.install(list(steps()))
    assert (repaired.status, repaired.changes > 2) == ("done", True)
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert_as_before(undisturbed, bench)
