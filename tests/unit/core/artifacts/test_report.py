"""What a worker says arrives at the action as progress, or as the same failure."""

from __future__ import annotations

import pytest

from installers.core.artifacts.report import Lines, Listener, failure_line
from installers.core.errors import Failure


def test_reports_arrive() -> None:
    said: list[tuple[int, int | None, str, str]] = []
    listener = Listener(lambda *row: said.append(row))
    lines = Lines(write=lambda line: listener(line.rstrip("\n")))
    lines(1, 3, "packages", "Thing")
    lines(0, 0, "steps", "other")
    assert said == [(1, 3, "packages", "Thing"), (0, None, "steps", "other")]


def test_a_flood_is_thinned_and_its_end_is_not() -> None:
    said: list[str] = []
    lines = Lines(write=said.append, clock=lambda: 100.0)
    for done in range(1, 1001):
        lines(done, 1000, "bytes", "thing")
    lines(1000, 1000, "bytes", "thing")
    assert len(said) == 2
    assert '"done": 1000' in said[-1]


def test_a_failure_keeps_its_id_and_texts() -> None:
    failure = Failure("OLR-ART-002", path="/x", needed=5, free=3)
    listener = Listener(lambda *_: None)
    listener(failure_line(failure))
    assert listener.failure is not None
    assert (listener.failure.id, listener.failure.what) == (failure.id, failure.what)


@pytest.mark.parametrize("line", ["", "plain words", "{not json", '{"else": 1}', "[1, 2]"])
def test_other_lines_are_nothing(line: str) -> None:
    listener = Listener(lambda *_: pytest.fail("that was no progress"))
    listener(line)
    assert listener.failure is None
