"""Undo: in reverse order of completion, containers with all that is in them, nothing held up, nothing unsaid."""

from __future__ import annotations

import pytest

from installers.core.engine.journal import Journal
from installers.core.engine.undo import of_run, undo
from installers.core.errors import Failure
from installers.core.model import Kept, Left
from installers.core.model.events import ActionFinished, Noted
from tests.unit.core.engine.workbench import Thing, Work, Workbench, chain, step


def thing(name: str, **traits: str) -> Thing:
    return Thing(name, (Work(name, **traits),))


def undone_order(bench: Workbench) -> list[str]:
    keys = {row.seq: row.key[-1] for row in bench.rows()}
    return [keys[e.seq] for e in bench.events if isinstance(e, ActionFinished)]


def test_in_reverse_order_of_completion(bench: Workbench) -> None:
    """Steps that ran side by side end in another order than they began."""
    with bench.context() as context:
        journal, seqs = context.journal, {}
        for name in "abc":
            work = Work(name)
            action, back = bench.codec.encode(work), bench.codec.encode(work.inverse(bench.bench().probe))  # type: ignore[arg-type]
            seqs[name] = journal.intend(
                context.run, key=f"thing:{name}", component="c", action=action, inverse=back, what="w", target="t"
            )
            bench.machine.tree.file(f"/srv/{name}")
        for name in "cab":
            journal.complete(seqs[name])
        journal.finish_run(context.run, status="done")
    bench.events.clear()
    assert bench.uninstall().status == "done"
    assert undone_order(bench) == ["b", "a", "c"]
    assert bench.there() == set()


def test_undo_takes_back_the_latest_run_only(bench: Workbench) -> None:
    bench.install([step(Thing("a"))])
    bench.install([step(Thing("a")), step(Thing("b")), step(Thing("c"))])
    assert (bench.undo().changes, bench.there()) == (2, {"a"})
    assert (bench.undo().changes, bench.there()) == (1, set())
    assert bench.undo().changes == 0


def test_an_older_run_is_refused_while_a_later_one_touched_its_keys(bench: Workbench) -> None:
    bench.install([step(Thing("a")), step(Thing("b"))])
    bench.machine.tree.unlink("/srv/a")
    bench.install([step(Thing("a")), step(Thing("c"))])
    with bench.journal() as journal:
        with pytest.raises(Failure) as refused:
            of_run(journal, 1)
        assert (refused.value.id, refused.value.fields["keys"]) == ("OLR-RUN-010", "thing:a")
        assert [row.key for row in of_run(journal, 2)] == ["thing:a", "thing:c"]
    bench.undo()
    with bench.journal() as journal:
        assert [row.key for row in of_run(journal, 1)] == ["thing:a", "thing:b"]


def test_left_and_kept_are_reported_and_not_counted_as_gone(bench: Workbench) -> None:
    bench.install(chain(thing("a"), thing("b", back="left"), thing("c", back="kept"), thing("d", back="none")))
    result = bench.uninstall()
    assert result.status == "left"
    assert set(result.left) == {Left("b", "it is somebody else's now"), Left("work on d", "it cannot be unsaid")}
    assert result.kept == (Kept("c", "it is user data"),)
    assert bench.states() == {"a": "undone", "b": "left", "c": "kept", "d": "left"}


def test_kept_alone_is_a_clean_end(bench: Workbench) -> None:
    bench.install([step(thing("c", back="kept"))])
    assert bench.uninstall().status == "done"


def test_an_inverse_that_fails_does_not_hold_the_rest(bench: Workbench) -> None:
    bench.install(chain(thing("a"), thing("b", back="fail"), thing("c")))
    result = bench.uninstall()
    assert (result.status, bench.there()) == ("left", {"b"})
    assert [left.what for left in result.left] == ["work on b"]
    assert any(isinstance(e, Noted) and "work on b" in e.text for e in bench.events)
    assert [row.key for row in bench.rows("done")] == ["thing:b"], "it is no longer tried"


CONTAINER = (thing("claim", removes="cluster"), thing("x", inside="cluster"), thing("y", inside="cluster"))


def test_what_is_inside_goes_with_its_container(bench: Workbench) -> None:
    bench.install(chain(*CONTAINER, thing("beside")))
    bench.events.clear()
    result = bench.uninstall()
    assert (result.status, result.changes) == ("done", 4)
    assert bench.states() == {"claim": "undone", "x": "contained", "y": "contained", "beside": "undone"}
    assert len(undone_order(bench)) == 2, "the contained ones were undone one by one"


def test_what_is_inside_is_undone_singly_while_its_container_stays(bench: Workbench) -> None:
    bench.install(chain(CONTAINER[0]))
    bench.install(chain(*CONTAINER))
    assert bench.undo().changes == 2
    assert bench.states() == {"claim": "done", "x": "undone", "y": "undone"}


@pytest.mark.parametrize("back", ["left", "fail"])
def test_a_container_that_stays_is_reported_with_all_in_it(bench: Workbench, back: str) -> None:
    bench.install(chain(thing("claim", removes="cluster", back=back), *CONTAINER[1:]))
    result = bench.uninstall()
    assert result.status == "left"
    assert len(result.left) == 3
    assert all("cluster" in left.why for left in result.left if left.what in ("work on x", "work on y"))


def test_a_container_that_failed_to_go_takes_all_with_it_at_the_next_try(bench: Workbench) -> None:
    bench.install(chain(thing("claim", removes="cluster", back="fail"), *CONTAINER[1:]))
    bench.uninstall()
    assert bench.states() == {"claim": "done", "x": "done", "y": "done"}


@pytest.mark.parametrize("when", ["before", "inside", "after"])
@pytest.mark.parametrize("at", range(1, 4))
def test_an_undo_cut_off_anywhere_is_taken_up_again(bench: Workbench, at: int, when: str) -> None:
    """Also right after the container went: what was inside has gone with it and is not looked for."""
    inside = thing("x", inside="cluster", back="fail")
    bench.install(chain(thing("first"), thing("claim", removes="cluster"), inside, thing("b")))
    bench.machine.crash_at(at, when)  # type: ignore[arg-type]
    assert bench.cut_off(bench.uninstall)
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert bench.states() == {"first": "undone", "claim": "undone", "x": "contained", "b": "undone"}


def test_an_interrupted_undo_is_taken_up_again(bench: Workbench) -> None:
    bench.install(chain(Thing("a"), Thing("b")))
    bench.stop.set()
    assert bench.uninstall().status == "interrupted"
    bench.stop.clear()
    assert (bench.uninstall().status, bench.there()) == ("done", set())


def test_uninstall_forgets_what_is_owed_to_what_goes(bench: Workbench) -> None:
    with bench.context() as context:
        context.journal.intend(
            context.run,
            key="thing:a",
            component="c",
            action=bench.codec.encode(Work("a")),
            inverse="-",
            what="w",
            target="t",
            owes=("thing:b",),
        )
    bench.uninstall()
    with bench.journal() as journal:
        assert journal.owed() == {}


def test_nothing_to_undo_is_fine(bench: Workbench) -> None:
    with bench.context("undo") as context:
        assert undo((), context).changes == 0


def test_latest_of_an_empty_journal() -> None:
    from installers.core.engine.undo import latest

    assert latest(Journal("/never/there/journal.sqlite", mode="read")) == ()
