"""Applying: only what was planned, verified, one at a time per lane, stopped by the first failure, resumable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from installers.core.engine import run as engine
from installers.core.engine.context import Children
from installers.core.errors import Failure, Interrupted
from installers.core.model import Change, Decision, Deferred, Facts, Host, May, Owed, Satisfied
from installers.core.model.events import ActionFinished, StepFinished
from tests.fake import FakeHost, FakeMachine
from tests.unit.core.engine.workbench import DpkgWork, Says, SystemdWork, There, Thing, Work, Workbench, chain, step


@dataclass
class Slow:
    """Hosts whose writes take their time, and what was going on at once meanwhile."""

    machine: FakeMachine
    seconds: dict[str, float] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    together: set[frozenset[str]] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    on: dict[str, Callable[[], None]] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, children: Children) -> Host:
        return SlowHost(self)

    def began(self, name: str) -> None:
        with self.guard:
            self.running.add(name)
            self.together |= {frozenset({name, other}) for other in self.running}

    def done(self, name: str) -> None:
        with self.guard:
            self.running.discard(name)
            self.ended.append(name)


class SlowHost(FakeHost):
    def __init__(self, slow: Slow) -> None:
        super().__init__(slow.machine)
        self.slow = slow

    def write(
        self, path: str, content: bytes | Iterable[bytes], *, mode: int = 0o644, uid: int = 0, gid: int = 0
    ) -> None:
        name = path.rpartition("/")[2]
        self.slow.began(name)
        self.slow.on.get(name, lambda: None)()
        time.sleep(self.slow.seconds.get(name, 0.02))
        super().write(path, content, mode=mode, uid=uid, gid=gid)
        self.slow.done(name)


@pytest.fixture
def slow(bench: Workbench) -> Slow:
    slow = Slow(bench.machine)
    bench.workers, bench.make_host = 4, slow
    return slow


def breaks() -> None:
    raise Failure("OLR-HOST-003", program="never-there")


def test_a_second_run_changes_nothing(bench: Workbench) -> None:
    steps = chain(Thing("a"), Thing("b"))
    assert (bench.install(steps).changes, bench.install(steps).changes) == (2, 0)
    assert len(bench.rows()) == 2


def test_the_intent_stands_in_the_journal_before_the_machine_is_touched(bench: Workbench) -> None:
    bench.machine.crash_at(1, "before")
    assert bench.cut_off(lambda: bench.install([step(Thing("a"))]))
    (row,) = bench.rows("intended")
    assert (row.key, row.target, row.inverse is not None) == ("thing:a", "/srv/a", True)
    assert bench.there() == set()


def test_lanes_never_overlap_and_the_rest_runs_side_by_side(bench: Workbench, slow: Slow) -> None:
    lanes: list[Thing] = []
    for n in range(3):
        lanes += [Thing(f"dpkg-{n}", (DpkgWork(f"dpkg-{n}"),)), Thing(f"systemd-{n}", (SystemdWork(f"systemd-{n}"),))]
    assert bench.install([step(thing) for thing in lanes]).changes == 6
    overlaps = {tuple(sorted(pair)) for pair in slow.together if len(pair) == 2}
    assert overlaps, "nothing ran side by side"
    assert not [pair for pair in overlaps if pair[0].partition("-")[0] == pair[1].partition("-")[0]]


def test_a_step_begins_when_all_it_comes_after_are_done(bench: Workbench, slow: Slow) -> None:
    slow.seconds = {"b": 0.1}
    bench.install([step(Thing("a")), step(Thing("b")), step(Thing("c"), "thing:a", "thing:b"), step(Thing("d"))])
    assert slow.ended.index("c") > slow.ended.index("b")
    assert slow.ended.index("d") < slow.ended.index("b")


def test_builds_start_at_once_and_hold_up_nobody(bench: Workbench, slow: Slow) -> None:
    """More builds than workers, none of which ends before all the rest is done: the workers stay free for it."""
    bench.workers = 2
    built, done = threading.Event(), threading.Event()

    def build() -> None:
        built.set()
        assert done.wait(10), "the builds held up the rest"

    slow.on = {f"build{n}": build for n in range(3)} | {"a": lambda: assert_set(built), "d": done.set}
    builds = [step(Thing(f"build{n}"), background=True) for n in range(3)]
    assert bench.install([*builds, *chain(*(Thing(name) for name in "abcd"))]).status == "done"
    assert slow.ended[:3] == ["a", "b", "c"]


def assert_set(event: threading.Event) -> None:
    assert event.wait(10), "no build began"


@pytest.mark.parametrize("workers", [1, 4])
def test_the_first_failure_starts_nothing_new(bench: Workbench, slow: Slow, workers: int) -> None:
    bench.workers = workers
    slow.on["a"] = breaks
    result = bench.install([*chain(Thing("a"), Thing("after")), step(Thing("c"), "thing:after")])
    assert (result.status, bench.there()) == ("failed", set())
    assert result.failure is not None
    assert result.failure.id == "OLR-HOST-003"
    assert [row.state for row in bench.rows()] == ["intended"]


def test_what_runs_beside_a_failure_is_let_finish(bench: Workbench, slow: Slow) -> None:
    started = threading.Event()

    def fail_later() -> None:
        assert started.wait(5)
        breaks()

    slow.on = {"a": fail_later, "b": started.set}
    slow.seconds = {"b": 0.1}
    result = bench.install([step(Thing("a")), *chain(Thing("b"), Thing("after"))])
    assert (result.status, bench.there()) == ("failed", {"b"})
    assert bench.states() == {"a": "intended", "b": "done"}


@pytest.mark.parametrize("workers", [1, 4])
def test_an_interrupted_run_is_taken_up_where_it_stopped(bench: Workbench, slow: Slow, workers: int) -> None:
    bench.workers = workers
    slow.on["b"] = bench.stop.set
    steps = chain(Thing("a"), Thing("b"), Thing("c"))
    result = bench.install(steps)
    assert (result.status, bench.there()) == ("interrupted", {"a", "b"})
    with bench.journal() as journal:
        assert [run.status for run in journal.runs()] == ["interrupted"]
    assert engine.cut_off(bench.path) == ""
    bench.stop.clear()
    again = bench.install(steps)
    assert engine.cut_off(bench.path) is None
    assert (again.status, again.changes, bench.there()) == ("done", 1, {"a", "b", "c"})


def test_a_step_ended_by_an_interrupt_is_no_failed_one(bench: Workbench, slow: Slow) -> None:
    def interrupt() -> None:
        bench.stop.set()
        raise Interrupted

    slow.on["b"] = interrupt
    assert bench.install(chain(Thing("a"), Thing("b"))).status == "interrupted"
    finished = [(event.key, event.outcome) for event in bench.events if isinstance(event, StepFinished)]
    assert finished == [("thing:a", "changed"), ("thing:b", "interrupted")]


def test_an_action_that_was_not_planned_is_refused(bench: Workbench) -> None:
    def says(facts: Facts) -> Decision:
        return Change((Work("b", text="other" if facts[There("a")] else "x"),), "-", {There("b"): True})

    resource = Says("b", says, (There("a"), There("b")))
    later = Says("a", lambda facts: Change((Work("a"),), "-") if not facts[There("a")] else SATISFIED, (There("a"),))
    result = bench.install(chain(later, resource))
    assert result.failure is not None
    assert (result.failure.id, result.failure.fields["key"]) == ("OLR-RUN-009", "thing:b")
    assert bench.there() == {"a"}


SATISFIED = Satisfied("it is there")


@pytest.mark.parametrize(("target", "status"), [("/srv/b", "done"), ("/srv/other", "failed")])
def test_a_deferred_step_becomes_only_what_it_may(bench: Workbench, target: str, status: str) -> None:
    def says(facts: Facts) -> Decision:
        if facts[There("b")]:
            return SATISFIED
        return Change((Work("b"),), "-") if facts[There("a")] else Deferred("a is there", (May("test-work", target),))

    first = Says("a", lambda facts: Change((Work("a"),), "-") if not facts[There("a")] else SATISFIED, (There("a"),))
    result = bench.install(chain(first, Says("b", says, (There("a"), There("b")))))
    assert result.status == status
    assert (result.failure.id if result.failure else "") == ("" if status == "done" else "OLR-RUN-009")


def test_a_deferred_step_whose_time_does_not_come_fails_by_name(bench: Workbench) -> None:
    result = bench.install([step(Says("b", lambda facts: Deferred("never", ())))])
    assert result.failure is not None
    assert result.failure.id == "OLR-RUN-003"


def test_a_step_that_waits_for_a_person_ends_the_run_and_says_what_to_do(bench: Workbench) -> None:
    waits = Deferred("this computer has been restarted", (), "OLR-BOOT-001")
    result = bench.install(chain(Thing("a"), Says("b", lambda facts: waits), Thing("c")))
    assert result.failure is not None
    assert (result.status, result.failure.id, bench.there()) == ("failed", "OLR-BOOT-001", {"a"})
    assert "olares-cli resume" in result.failure.next


def test_an_action_that_did_not_bring_it_about_fails_verification(bench: Workbench) -> None:
    result = bench.install(chain(Thing("a", (Work("elsewhere"),)), Thing("b")))
    assert result.failure is not None
    assert (result.failure.id, result.failure.fields["key"]) == ("OLR-RUN-004", "thing:a")
    assert bench.there() == {"elsewhere"}
    finished = [event for event in bench.events if isinstance(event, StepFinished)]
    assert [(event.key, event.outcome, event.id) for event in finished] == [("thing:a", "failed", "OLR-RUN-004")]


def listener(bench: Workbench, name: str = "b") -> Says:
    owed = Owed(f"thing:{name}")

    def says(facts: Facts) -> Decision:
        return Change((Work(name, text=str(sorted(facts[owed]))),), "it is owed") if facts[owed] else SATISFIED

    return Says(name, says, (owed,), ("thing:a",))


def test_a_debt_is_cleared_by_the_step_that_acts_on_it(bench: Workbench) -> None:
    steps = chain(Thing("a"), listener(bench))
    assert bench.install(steps).changes == 2
    assert bench.install(steps).changes == 0
    with bench.journal() as journal:
        assert journal.owed() == {}


def test_a_debt_outlives_the_run_that_made_it(bench: Workbench) -> None:
    steps = chain(Thing("a"), listener(bench))
    bench.machine.crash_at(1, "after")
    assert bench.cut_off(lambda: bench.install(steps))
    with bench.journal() as journal:
        assert journal.owed() == {"thing:b": frozenset({"thing:a"})}
    assert bench.install(steps).changes == 1
    assert bench.machine.tree.text("/srv/b") == "['thing:a']"


def test_steps_that_failed_keep_their_debt(bench: Workbench) -> None:
    steps = chain(Thing("a"), listener(bench))
    bench.machine.crash_at(2, "inside")
    assert bench.cut_off(lambda: bench.install(steps))
    with bench.journal() as journal:
        assert journal.owed() == {"thing:b": frozenset({"thing:a"})}


def test_every_action_says_when_it_began_and_ended(bench: Workbench) -> None:
    bench.install(chain(Thing("a"), Thing("b")))
    kinds = [event.type for event in bench.events]
    once = ["step-started", "action-started", "action-finished", "step-finished"]
    assert kinds == ["run-started", *once, *once, "run-finished"]
    assert [e.outcome for e in bench.events if isinstance(e, ActionFinished)] == ["done", "done"]
