"""``index refresh`` as a person and as a program see it."""

from __future__ import annotations

import json

import pytest

from installers.core.artifacts import upstream
from installers.core.artifacts.upstream import Compared, State
from tests.unit.olares_cli.conftest import Run


def row(state: State, *, published: str = "", why: str = "") -> Compared:
    return Compared("tool", "1.2", "amd64", "https://example.test/tool", state, "aa", published, why)


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        ([row(State.SAME, published="aa")], 0, "same"),
        ([row(State.SAME, published="aa"), row(State.NEW, published="bb")], 3, "not pinned here"),
        ([row(State.SAME, published="aa"), row(State.UNREACHED, why="no route")], 3, "no route"),
        ([row(State.UNREACHED, why="no route")], 1, "OLR-ART-016"),
        ([row(State.DIFFERS, published="bb")], 1, "OLR-ART-017"),
    ],
)
def test_what_differs_is_shown_and_counted(
    run: Run, monkeypatch: pytest.MonkeyPatch, rows: list[Compared], code: int, says: str
) -> None:
    monkeypatch.setattr(upstream, "compare", lambda names, among: rows)
    ended = run("index", "refresh", "tool")
    assert ended.code == code
    assert says in ended.out + ended.err


def test_programs_get_one_record(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "compare", lambda names, among: [row(State.SAME, published="aa")])
    ended = run("--output", "jsonl", "index", "refresh")
    (record,) = map(json.loads, ended.out.splitlines())
    assert (record["type"], record["files"][0]["state"]) == ("digests", "same")
