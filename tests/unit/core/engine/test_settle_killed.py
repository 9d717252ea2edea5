"""What a killed run left is put to rest first: its processes ended or awaited, each cut-off action recovered once."""

from __future__ import annotations

from contextlib import closing

import pytest

from installers.core.engine import undo as module
from installers.core.engine.journal import Journal
from installers.core.engine.run import unfinished
from installers.core.engine.undo import settle_killed
from installers.core.host.scopes import Scope
from tests.unit.core.engine.workbench import Thing, Unwork, Work, Workbench, chain, step


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Scopes put to rest, each with the patience it was given."""
    found: list[tuple[str, float]] = []
    monkeypatch.setattr(module, "settle", lambda scope, wait: found.append((scope.name, wait)))
    return found


def scope(name: str) -> Scope:
    return Scope(name, "group", "", 4242, 1, "another-boot")


def recovered(bench: Workbench) -> list[str]:
    return [line for line, _ in bench.machine.crash.log if "recovered" in line]


def test_a_cut_off_action_is_recovered_once_and_its_children_settled(
    bench: Workbench, settled: list[tuple[str, float]]
) -> None:
    bench.machine.crash_at(2, "inside")
    steps = chain(Thing("a"), Thing("b"), Thing("c"))
    assert bench.cut_off(lambda: bench.install(steps))
    assert unfinished(bench.path)
    with bench.context() as context:
        pass
    assert recovered(bench) == ["write /srv/recovered-b"]
    assert bench.states() == {"a": "done", "b": "recovered"}
    assert bench.install(steps).status == "done"
    assert recovered(bench) == ["write /srv/recovered-b"]
    with bench.journal() as journal:
        assert [run.status for run in journal.runs()] == ["killed", "killed", "done"]
        assert context.run == 2


def test_children_are_given_the_patience_of_their_action(bench: Workbench, settled: list[tuple[str, float]]) -> None:
    bench.machine.crash_at(1, "inside")
    assert bench.cut_off(lambda: bench.install([step(Thing("a"))]))
    (row,) = bench.rows("intended")
    with closing(Journal(bench.path, mode="write")) as journal:
        journal.open_scope(row.seq, scope("olares-1-1-1"))
        journal.open_scope(row.seq, scope("olares-1-1-2"))
    bench.install([step(Thing("a"))])
    assert settled == [("olares-1-1-1", Work.patience), ("olares-1-1-2", Work.patience)]
    with bench.journal() as read:
        assert read.scopes() == ()


def test_a_cut_off_way_back_is_recovered_too_and_its_children_given_its_patience(
    bench: Workbench, settled: list[tuple[str, float]]
) -> None:
    """An undo that was killed may have left a dpkg running: the next run waits for it, whatever its verb."""
    bench.install(chain(Thing("a"), Thing("b")))
    bench.machine.crash_at(1, "inside")
    assert bench.cut_off(bench.uninstall)
    with closing(Journal(bench.path, mode="write")) as journal:
        (seq,) = [row.seq for row in journal.rows("undoing")]
        journal.open_scope(seq, scope("olares-2-1-1"))
    assert unfinished(bench.path)
    assert bench.install(chain(Thing("a"), Thing("b"))).status == "done"
    assert settled == [("olares-2-1-1", Unwork.patience)]
    assert recovered(bench) == ["write /srv/recovered-unb"]
    assert bench.uninstall().status == "done"
    assert bench.there() <= {"recovered-unb"}


def test_an_ended_run_leaves_nothing_to_settle(bench: Workbench, settled: list[tuple[str, float]]) -> None:
    bench.install([step(Thing("a"))])
    assert not unfinished(bench.path)
    with bench.context() as context:
        assert settle_killed(context) == 0
    assert settled == []
