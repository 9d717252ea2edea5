"""What stands in a run's file: events, who carries the run out, and how it ended; one JSON object a line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from installers.core.errors import Failure
from installers.core.model.events import TYPES, Event
from olares_cli.verbs import RunResult


@dataclass(frozen=True, slots=True)
class Process:
    """Who carries the run out; with start time and boot no later process is mistaken for it."""

    type: ClassVar[str] = "process"
    pid: int
    start_time: int
    boot_id: str
    verb: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure as text, with each of its problems."""

    id: str
    what: str
    next: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thing:
    """Something an undo left or kept, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended. ``status``: done, failed, interrupted or left; ``changes``: actions executed."""

    type: ClassVar[str] = "result"
    verb: str
    status: str
    changes: int = 0
    failure: Trouble | None = None
    left: tuple[Thing, ...] = ()
    kept: tuple[Thing, ...] = ()


Record = Event | Process | Result


def trouble(failure: Failure) -> Trouble:
    """A failure with its texts filled in, so that it can be shown elsewhere."""
    problems = failure.fields.get("problems", ())
    listed = tuple(map(str, problems)) if isinstance(problems, tuple | list) else ()
    return Trouble(failure.id, failure.what, failure.next, listed)


def result_of(verb: str, done: RunResult) -> Result:
    return Result(
        verb=verb,
        status=done.status,
        changes=done.changes,
        failure=trouble(done.failure) if done.failure else None,
        left=tuple(Thing(left.what, left.why) for left in done.left),
        kept=tuple(Thing(kept.what, kept.why) for kept in done.kept),
    )


def plain_record(record: Record) -> dict[str, Any]:
    """A record as plain data, its type first."""
    if isinstance(record, Event):
        # asdict copies deeply and is slow; events are flat.
        return {"type": record.type, **{f.name: getattr(record, f.name) for f in fields(record)}}
    return {"type": record.type, **asdict(record)}


def encode(record: Record) -> bytes:
    import msgspec

    return msgspec.json.encode(plain_record(record)) + b"\n"


def decode(line: bytes) -> Record | None:
    """One line of a run's file; None for a kind of record that a newer version wrote, or a torn line."""
    import msgspec

    kinds: dict[str, type[Record]] = {**TYPES, Process.type: Process, Result.type: Result}
    try:
        row = msgspec.json.decode(line, type=dict[str, Any])
        kind = kinds.get(row.pop("type", ""))
        return None if kind is None else msgspec.convert(row, kind)
    except msgspec.MsgspecError:
        return None
