"""The journal: one SQLite file that knows every mutation, its way back, and what is still owed.

One writer at a time, the holder of the lease; readers open it read-only. ``journal_mode=DELETE``
and ``synchronous=FULL`` so that a committed row survives a power cut.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from installers.core.errors import Failure
from installers.core.host.scopes import Scope

SCHEMA = 2
"""Version of the tables; rows carry their own action version beside it."""

_RAISE = {1: "ALTER TABLE run ADD COLUMN request TEXT NOT NULL DEFAULT '';"}
"""What brings a journal of an earlier schema to the next."""

State = Literal["intended", "recovered", "done", "undoing", "undone", "contained", "left", "kept"]
LIVE: tuple[State, ...] = ("intended", "recovered", "done", "undoing")
"""States of an action whose effect (whole or half) is on the machine and not yet taken back."""

_TABLES = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY, verb TEXT NOT NULL, request TEXT NOT NULL, started REAL NOT NULL, finished REAL,
    status TEXT, detail TEXT
) STRICT;
CREATE TABLE action (
    seq INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run(id), key TEXT NOT NULL, component TEXT NOT NULL,
    kind TEXT NOT NULL, version INTEGER NOT NULL, payload TEXT NOT NULL,
    inverse_kind TEXT, inverse_version INTEGER, inverse_payload TEXT, irreversible TEXT,
    what TEXT NOT NULL, target TEXT NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '',
    completed INTEGER, started REAL NOT NULL, finished REAL
) STRICT;
CREATE INDEX action_key ON action(key);
CREATE TABLE owed (key TEXT NOT NULL, cause TEXT NOT NULL, PRIMARY KEY (key, cause)) STRICT;
CREATE TABLE scope (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, content TEXT NOT NULL) STRICT;
"""

Encoded = tuple[str, int, str]
"""An action as stored: kind, version, payload (JSON)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One journaled action. ``completed``: its place in the order of completion, None while unfinished."""

    seq: int
    run: int
    key: str
    component: str
    action: Encoded
    inverse: Encoded | None
    irreversible: str
    what: str
    target: str
    state: State
    detail: str
    completed: int | None

    @property
    def order(self) -> int:
        return self.seq if self.completed is None else self.completed


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of a verb. ``status`` is "" while it runs, or for ever when it was killed.

    ``request``: what was asked for, in the words of whoever asked, for one who goes on with it.
    """

    id: int
    verb: str
    request: str
    started: float
    finished: float | None
    status: str
    detail: str


class Journal:
    """Reads and writes of the journal; every public method is one transaction."""

    def __init__(self, path: str, *, mode: Literal["write", "read"]) -> None:
        self._lock = threading.RLock()
        self._path = path
        try:
            self._db = self._connect(mode)
        except sqlite3.DatabaseError as broken:
            raise Failure("OLR-RUN-005", path=path, reason=str(broken)) from broken

    def _connect(self, mode: Literal["write", "read"]) -> sqlite3.Connection:
        if mode == "read":
            source = f"file:{self._path}?mode=ro" if Path(self._path).exists() else "file::memory:"
            db = sqlite3.connect(source, uri=True, isolation_level=None, check_same_thread=False)
            if source == "file::memory:":
                db.executescript(f"{_TABLES} PRAGMA user_version = {SCHEMA};")
            elif _cut_off(db):
                db.close()
                db = _rolled_back(self._path)
        else:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("PRAGMA synchronous=FULL")
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone():
                db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA:
            raise Failure("OLR-RUN-006", path=self._path, found=found, known=SCHEMA)
        if found < SCHEMA and mode == "read":
            db = _in_memory(db)
        for schema in range(found, SCHEMA):
            db.executescript(f"BEGIN; {_RAISE[schema]} PRAGMA user_version = {schema + 1}; COMMIT;")
        return db

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # runs

    def begin_run(self, verb: str, request: str = "") -> int:
        with self._transaction() as db:
            values = (verb, request, time.time())
            cursor = db.execute("INSERT INTO run (verb, request, started) VALUES (?, ?, ?)", values)
            return int(cursor.lastrowid or 0)

    def finish_run(self, run: int, *, status: str, detail: str = "") -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE run SET finished = ?, status = ?, detail = ? WHERE id = ?", (time.time(), status, detail, run)
            )

    def runs(self) -> tuple[RunRow, ...]:
        """All runs, oldest first."""
        sql = """
            SELECT id, verb, request, started, finished, coalesce(status, ''), coalesce(detail, '') FROM run
            ORDER BY id
        """
        return tuple(RunRow(*row) for row in self._all(sql))  # type: ignore[arg-type]

    # actions

    def intend(
        self,
        run: int,
        *,
        key: str,
        component: str,
        action: Encoded,
        inverse: Encoded | str,
        what: str,
        target: str,
        owes: Sequence[str] = (),
    ) -> int:
        """Write down what is about to happen, the way back (or why there is none) and who must react."""
        back: tuple[object, ...] = (None, None, None, inverse) if isinstance(inverse, str) else (*inverse, None)
        with self._transaction() as db:
            seq = self._tick(db)
            db.execute(
                "INSERT INTO action VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'intended', '', NULL, ?, NULL)",
                (seq, run, key, component, *action, *back, what, target, time.time()),
            )
            db.executemany("INSERT OR IGNORE INTO owed VALUES (?, ?)", [(listener, key) for listener in owes])
            return seq

    @staticmethod
    def _tick(db: sqlite3.Connection) -> int:
        (last,) = db.execute("SELECT max(coalesce(max(seq), 0), coalesce(max(completed), 0)) FROM action").fetchone()
        return int(last) + 1

    def complete(self, seq: int) -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE action SET state = 'done', completed = ?, finished = ? WHERE seq = ?",
                (self._tick(db), time.time(), seq),
            )
            db.execute("DELETE FROM scope WHERE seq = ?", (seq,))

    def mark(self, seqs: Sequence[int], state: State, detail: str = "") -> None:
        """Set the state of actions without touching their place in the order."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE action SET state = ?, detail = ?, finished = ? WHERE seq = ?",
                [(state, detail, time.time(), seq) for seq in seqs],
            )

    def fold(self, seq: int, inverse: Encoded, later: int) -> None:
        """Let one action's way back cover a later one on the same thing as well."""
        kind, version, payload = inverse
        with self._transaction() as db:
            db.execute(
                "UPDATE action SET inverse_kind = ?, inverse_version = ?, inverse_payload = ? WHERE seq = ?",
                (kind, version, payload, seq),
            )
            db.execute(
                "UPDATE action SET state = 'contained', detail = ? WHERE seq = ?", (f"taken back with {seq}", later)
            )

    def rows(self, *states: State) -> tuple[Row, ...]:
        """Actions in any of the states, in order of completion (unfinished ones by their beginning)."""
        sql = (
            "SELECT seq, run, key, component, kind, version, payload, inverse_kind, inverse_version, inverse_payload,"
            " coalesce(irreversible, ''), what, target, state, detail, completed FROM action"
            " WHERE state IN (SELECT value FROM json_each(?)) ORDER BY coalesce(completed, seq)"
        )
        return tuple(_row(values) for values in self._all(sql, json.dumps(states)))

    def recorded(self) -> dict[str, tuple[str, ...]]:
        """The targets of live actions by resource key, oldest first."""
        found: dict[str, tuple[str, ...]] = {}
        for row in self.rows(*LIVE):
            found[row.key] = (*found.get(row.key, ()), row.target)
        return found

    def last_changes(self) -> dict[str, float]:
        """When each component's latest live action ended, in seconds since the epoch."""
        sql = "SELECT component, max(finished) FROM action WHERE state = 'done' GROUP BY component"
        return {str(component): float(str(at)) for component, at in self._all(sql)}

    # what is owed

    def owed(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for key, cause in self._all("SELECT key, cause FROM owed"):
            found[str(key)] = found.get(str(key), frozenset()) | {str(cause)}
        return found

    def settle_owed(self, key: str, causes: frozenset[str]) -> None:
        with self._transaction() as db:
            db.executemany("DELETE FROM owed WHERE key = ? AND cause = ?", [(key, cause) for cause in causes])

    def forget_owed(self) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM owed")

    # children

    def open_scope(self, seq: int, scope: Scope) -> None:
        """Journal a child before it does anything."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO scope VALUES (?, ?, ?)", (scope.name, seq, _pack(scope)))

    def close_scope(self, scope: Scope) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM scope WHERE name = ?", (scope.name,))

    def scopes(self) -> tuple[tuple[int, Scope], ...]:
        """Children not known to have ended, with the action that started each."""
        rows = self._all("SELECT seq, content FROM scope ORDER BY seq")
        return tuple((int(str(seq)), Scope(**json.loads(str(content)))) for seq, content in rows)


def _cut_off(db: sqlite3.Connection) -> bool:
    """Whether a power cut left a transaction half written: it must be rolled back before anything is read."""
    try:
        db.execute("PRAGMA user_version")
    except sqlite3.OperationalError as refused:
        if refused.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
            return True
        raise
    return False


def _rolled_back(path: str) -> sqlite3.Connection:
    """The journal as it was before the cut-off transaction, in memory: a reader leaves the files as they are."""
    with tempfile.TemporaryDirectory() as folder:
        copy = f"{folder}/journal.sqlite"
        for suffix in ("", "-journal"):
            shutil.copyfile(path + suffix, copy + suffix)
        return _in_memory(sqlite3.connect(copy))


def _in_memory(source: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of a journal; the source is closed."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with closing(source):
        source.backup(db)
    return db


def _pack(scope: Scope) -> str:
    return json.dumps({name: getattr(scope, name) for name in scope.__dataclass_fields__})


def _row(values: tuple[object, ...]) -> Row:
    seq, run, key, component, kind, version, payload, *rest = values
    inverse_kind, inverse_version, inverse_payload, irreversible, what, target, state, detail, completed = rest
    inverse = None if inverse_kind is None else (str(inverse_kind), int(str(inverse_version)), str(inverse_payload))
    return Row(
        seq=int(str(seq)),
        run=int(str(run)),
        key=str(key),
        component=str(component),
        action=(str(kind), int(str(version)), str(payload)),
        inverse=inverse,
        irreversible=str(irreversible),
        what=str(what),
        target=str(target),
        state=str(state),  # type: ignore[arg-type]
        detail=str(detail),
        completed=None if completed is None else int(str(completed)),
    )
