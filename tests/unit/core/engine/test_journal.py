"""The journal: what is written down, in which order it is taken back, and what outlives a power cut."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from installers.core.engine.journal import SCHEMA, Journal
from installers.core.errors import Failure
from installers.core.host.scopes import Scope

FORTH, BACK = ("put-file", 1, '{"path":"/a"}'), ("restore-path", 1, '{"path":"/a"}')


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "journal.sqlite")


@pytest.fixture
def journal(path: str) -> Iterator[Journal]:
    with closing(Journal(path, mode="write")) as journal:
        yield journal


def intend(journal: Journal, key: str = "file:/a", *, run: int = 1, owes: tuple[str, ...] = ()) -> int:
    return journal.intend(
        run, key=key, component="part", action=FORTH, inverse=BACK, what="write", target=key, owes=owes
    )


def test_a_row_comes_back_as_it_was_written(journal: Journal) -> None:
    run = journal.begin_run("install")
    seq = intend(journal, run=run)
    (row,) = journal.rows("intended")
    assert (row.seq, row.run, row.key, row.component) == (seq, run, "file:/a", "part")
    assert (row.action, row.inverse, row.irreversible) == (FORTH, BACK, "")
    assert (row.what, row.target, row.completed, row.order) == ("write", "file:/a", None, seq)


def test_an_action_without_a_way_back_has_its_reason(journal: Journal) -> None:
    run = journal.begin_run("install")
    journal.intend(run, key="k", component="c", action=FORTH, inverse="told once", what="say", target="t")
    (row,) = journal.rows("intended")
    assert (row.inverse, row.irreversible) == (None, "told once")


def test_rows_are_in_order_of_completion(journal: Journal) -> None:
    run = journal.begin_run("install")
    first, second, third = (intend(journal, f"file:/{name}", run=run) for name in "abc")
    for seq in (third, first):
        journal.complete(seq)
    assert [row.seq for row in journal.rows("done", "intended")] == [second, third, first]


def test_an_intention_after_a_completion_comes_after_it(journal: Journal) -> None:
    run = journal.begin_run("install")
    first = intend(journal, run=run)
    journal.complete(first)
    second = intend(journal, "file:/b", run=run)
    assert [row.seq for row in journal.rows("done", "intended")] == [first, second]


def test_what_is_owed_stands_until_it_is_settled(journal: Journal) -> None:
    run = journal.begin_run("install")
    for key in ("file:/a", "file:/b", "file:/a"):
        intend(journal, key, run=run, owes=("unit:x", "unit:y"))
    assert journal.owed() == dict.fromkeys(("unit:x", "unit:y"), frozenset({"file:/a", "file:/b"}))
    journal.settle_owed("unit:x", frozenset({"file:/a"}))
    assert journal.owed() == {"unit:x": frozenset({"file:/b"}), "unit:y": frozenset({"file:/a", "file:/b"})}
    journal.forget_owed()
    assert journal.owed() == {}


def test_recorded_are_live_targets_oldest_first(journal: Journal) -> None:
    run = journal.begin_run("install")
    targets = []
    for number in range(3):
        seq = journal.intend(
            run, key="objects:x", component="c", action=FORTH, inverse=BACK, what="w", target=f"t{number}"
        )
        journal.complete(seq)
        targets.append(seq)
    journal.mark([targets[1]], "undone")
    assert journal.recorded() == {"objects:x": ("t0", "t2")}


def test_scopes_stand_until_closed_or_their_action_completes(journal: Journal) -> None:
    run = journal.begin_run("install")
    seq = intend(journal, run=run)
    scopes = [Scope(f"olares-{n}", "group", "", 4242, 1, "boot") for n in range(3)]
    for scope in scopes:
        journal.open_scope(seq, scope)
    journal.close_scope(scopes[0])
    assert journal.scopes() == ((seq, scopes[1]), (seq, scopes[2]))
    journal.complete(seq)
    assert journal.scopes() == ()


def test_runs_say_how_they_ended(journal: Journal) -> None:
    first, _ = journal.begin_run("install"), journal.begin_run("resume")
    journal.finish_run(first, status="done", detail="nothing")
    assert [(run.verb, run.status, run.detail) for run in journal.runs()] == [
        ("install", "done", "nothing"),
        ("resume", "", ""),
    ]


def test_reading_before_the_first_run_makes_nothing(path: str) -> None:
    with closing(Journal(path, mode="read")) as journal:
        assert journal.rows("done") == ()
        assert journal.owed() == {}
    assert not Path(path).parent.exists()


def test_a_reader_cannot_write_and_sees_only_what_is_committed(path: str, journal: Journal) -> None:
    run = journal.begin_run("install")
    with closing(Journal(path, mode="read")) as reader:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.begin_run("install")
        seq = intend(journal, run=run)
        assert [row.seq for row in reader.rows("intended")] == [seq]


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_journal_of_the_first_schema_is_understood(path: str, mode: Literal["read", "write"]) -> None:
    with closing(Journal(path, mode="write")) as journal:
        journal.begin_run("install")
    with closing(sqlite3.connect(path)) as db:
        db.executescript("ALTER TABLE run DROP COLUMN request; PRAGMA user_version = 1;")
    before = Path(path).read_bytes()
    with closing(Journal(path, mode=mode)) as journal:
        assert [(run.verb, run.request) for run in journal.runs()] == [("install", "")]
    assert (Path(path).read_bytes() == before) == (mode == "read")


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_newer_schema_is_refused_and_left_alone(path: str, mode: str) -> None:
    Journal(path, mode="write").close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = Path(path).read_bytes()
    with pytest.raises(Failure) as refused:
        Journal(path, mode=mode)  # type: ignore[arg-type]
    assert refused.value.id == "OLR-RUN-006"
    assert Path(path).read_bytes() == before


def test_a_file_that_is_no_journal_is_refused(path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).write_bytes(b"something else entirely, and long enough to be looked at" * 100)
    with pytest.raises(Failure) as refused:
        Journal(path, mode="write")
    assert refused.value.id == "OLR-RUN-005"


def test_a_failed_transaction_leaves_nothing(journal: Journal) -> None:
    run = journal.begin_run("install")
    with pytest.raises(sqlite3.ProgrammingError):
        journal.intend(
            run,
            key="k",
            component="c",
            action=FORTH,
            inverse=BACK,
            what="w",
            target="t",
            owes=(object(),),  # type: ignore[arg-type]
        )
    assert journal.rows("intended") == ()
    assert journal.owed() == {}
    intend(journal, run=run)


def test_commits_are_durable(journal: Journal) -> None:
    assert journal._all("PRAGMA journal_mode") == [("delete",)]
    assert journal._all("PRAGMA synchronous") == [(2,)]


@pytest.fixture
def after_power_cut(path: str, tmp_path: Path) -> str:
    """A copy of the journal's files from the middle of a commit: pages overwritten, the rollback file beside."""
    with closing(Journal(path, mode="write")) as journal:
        journal.complete(intend(journal, run=journal.begin_run("install")))
    copy = tmp_path / "after" / "journal.sqlite"
    copy.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("PRAGMA cache_spill = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE action SET what = 'half written'")
        db.executemany("INSERT INTO owed VALUES (?, ?)", [(f"unit:{n}", "x" * 2000) for n in range(500)])
        for suffix in ("", "-journal"):
            shutil.copy(path + suffix, f"{copy}{suffix}")
        db.execute("ROLLBACK")
    assert b"half written" in copy.read_bytes()
    return str(copy)


def test_a_power_cut_inside_a_commit_is_rolled_back(after_power_cut: str) -> None:
    with closing(Journal(after_power_cut, mode="write")) as journal:
        assert [row.what for row in journal.rows("done")] == ["write"]
        assert journal.owed() == {}


def test_after_a_power_cut_it_can_be_read_without_writing(after_power_cut: str) -> None:
    files = {file: file.read_bytes() for file in Path(after_power_cut).parent.iterdir()}
    with closing(Journal(after_power_cut, mode="read")) as journal:
        assert [row.what for row in journal.rows("done")] == ["write"]
        assert journal.owed() == {}
    assert {file: file.read_bytes() for file in Path(after_power_cut).parent.iterdir()} == files
