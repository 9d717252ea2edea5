"""One run from lease to result: what install, resume, undo and uninstall have in common."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from installers.core.engine.apply import apply
from installers.core.engine.context import Children, Context
from installers.core.engine.journal import LIVE, Journal, Row
from installers.core.engine.lease import lease
from installers.core.engine.plan import Codec, Past, Plan, make_plan
from installers.core.engine.undo import settle_killed, undo
from installers.core.errors import Failure, Interrupted
from installers.core.model import Change, Deferred, Host, Kept, Left, Probe, Step
from installers.core.model.events import Emit, RunFinished, RunStarted

Status = Literal["done", "failed", "interrupted", "left"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended. ``changes``: actions executed. ``left`` and ``kept``: what an undo did not take away."""

    status: Status
    changes: int
    failure: Failure | None = None
    left: tuple[Left, ...] = ()
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class Bench:
    """Where runs work: a journal, a probe, a way to make hosts, the action codec, and who is told.

    ``lock``: path of the lease. ``stop``: set by whoever handles the user's interrupt. ``request``: what
    is asked for, kept in the journal for one who goes on with it.
    """

    journal: str
    lock: str
    probe: Probe
    host: Callable[[Children], Host]
    codec: Codec
    emit: Emit
    stop: threading.Event = field(default_factory=threading.Event)
    workers: int = 6
    request: str = ""


def past(journal_path: str) -> Past:
    """What the journal knows, read-only; empty before the first run."""
    with closing(Journal(journal_path, mode="read")) as journal:
        return Past(journal.owed(), journal.recorded())


def unfinished(journal_path: str) -> bool:
    """Whether a run was cut off and nobody has taken it up yet."""
    with closing(Journal(journal_path, mode="read")) as journal:
        return bool(journal.rows("intended", "undoing")) or any(not run.status for run in journal.runs())


def cut_off(journal_path: str) -> str | None:
    """What the last run was asked for, if it did not come to its end; None otherwise."""
    with closing(Journal(journal_path, mode="read")) as journal:
        last = journal.runs()[-1:]
    return next((run.request for run in last if run.status not in ("done", "left")), None)


def remaining(journal_path: str) -> int:
    """How many actions are still on the machine by our hand."""
    with closing(Journal(journal_path, mode="read")) as journal:
        return len(journal.rows(*LIVE))


def last_changes(journal_path: str) -> dict[str, float]:
    """When each component last changed, in seconds since the epoch."""
    with closing(Journal(journal_path, mode="read")) as journal:
        return journal.last_changes()


@contextmanager
def running(bench: Bench, verb: str) -> Iterator[Context]:
    """Hold the lease and the journal for one run, with whatever a killed run left put to rest."""
    with lease(bench.lock, verb=verb), closing(Journal(bench.journal, mode="write")) as journal:
        context = Context(
            journal=journal,
            probe=bench.probe,
            host=bench.host,
            codec=bench.codec,
            emit=bench.emit,
            run=journal.begin_run(verb, bench.request),
            stop=bench.stop,
            workers=bench.workers,
        )
        settle_killed(context)
        yield context


def install(bench: Bench, steps: Sequence[Step], *, verb: str, saved: Mapping[str, Any] | None = None) -> Result:
    """Plan and apply. With a saved plan, refuse when its decisions are not today's."""
    with running(bench, verb) as context:
        began = time.time()
        plan = make_plan(steps, bench.probe, Past(context.journal.owed(), context.journal.recorded()))
        failure = _refusal(plan, saved)
        bench.emit(RunStarted(at=began, run=str(context.run), verb=verb, phases=_phases(plan)))
        if failure is not None:
            return _finish(context, began, Result("failed", 0, failure))
        applied = apply(plan, context)
        return _finish(context, began, _result(applied.changes, applied.failure))


def _refusal(plan: Plan, saved: Mapping[str, Any] | None) -> Failure | None:
    """Why a plan may not be applied, if there is a reason."""
    if saved is not None and (keys := plan.differences(saved)):
        return Failure("OLR-RUN-011", count=len(keys), keys=", ".join(keys[:8]))
    for item in plan.blocked():
        id, fields = item.decision.id, item.decision.fields  # type: ignore[union-attr]
        return Failure(id, **fields)
    return None


def _phases(plan: Plan) -> tuple[tuple[str, int], ...]:
    """How many steps of each phase have something to do or must be looked at again."""
    counts: dict[str, int] = {}
    for item in plan.items:
        busy = isinstance(item.decision, Change | Deferred)
        counts[item.step.phase] = counts.get(item.step.phase, 0) + busy
    return tuple(counts.items())


def take_back(bench: Bench, *, verb: str, choose: Callable[[Journal], Sequence[Row]]) -> Result:
    """Undo the chosen actions in reverse order of completion."""
    with running(bench, verb) as context:
        began = time.time()
        rows = choose(context.journal)
        bench.emit(RunStarted(at=began, run=str(context.run), verb=verb, phases=((verb, len(rows)),)))
        undone = undo(rows, context)
        result = _result(undone.changes, undone.failure)
        if undone.left and result.status == "done":
            result = Result("left", undone.changes)
        result = Result(result.status, result.changes, result.failure, tuple(undone.left), tuple(undone.kept))
        return _finish(context, began, result)


def everything(journal: Journal) -> Sequence[Row]:
    """All that is on the machine by our hand; what is owed to things that go is owed no longer."""
    journal.forget_owed()
    return journal.rows(*LIVE)


def _result(changes: int, failure: BaseException | None) -> Result:
    match failure:
        case None:
            return Result("done", changes)
        case Failure():
            return Result("failed", changes, failure)
        case Interrupted() | KeyboardInterrupt():
            return Result("interrupted", changes)
        case _:
            raise failure


def _finish(context: Context, began: float, result: Result) -> Result:
    id = result.failure.id if result.failure else ""
    detail = result.failure.what if result.failure else ""
    context.journal.finish_run(context.run, status=result.status, detail=f"{id} {detail}".strip())
    now = time.time()
    context.emit(
        RunFinished(
            at=now,
            run=str(context.run),
            status=result.status,
            changes=result.changes,
            seconds=now - began,
            id=id,
            detail=detail,
        )
    )
    return result


def require_root() -> None:
    """Changing a machine needs root; reading it does not."""
    if os.geteuid() != 0:
        raise Failure("OLR-RUN-012")


def claim_installation(marker: str, state: str) -> None:
    """Refuse a run whose state directory is not the one this host's installation uses."""
    path = Path(marker)
    if path.exists() and (named := path.read_text().strip()) != state:
        raise Failure("OLR-RUN-013", named=named, state=state)
