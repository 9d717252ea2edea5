"""Taking back: in reverse order of completion, one at a time, driven by the journal alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from installers.core.engine.context import Context
from installers.core.engine.journal import LIVE, Encoded, Journal, Row
from installers.core.errors import Failure, Interrupted
from installers.core.host.scopes import settle
from installers.core.model import Done, Kept, Left, Outcome
from installers.core.model.events import ActionFinished, ActionStarted, Noted


@dataclass(slots=True)
class Undone:
    """What an undo did: actions taken back, what stayed and why, what was kept on purpose."""

    changes: int = 0
    left: list[Left] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    failure: BaseException | None = None


def settle_killed(context: Context) -> int:
    """Put a killed run to rest: let its children finish or end them, clear what was half done or half taken back.

    Returns how many actions had been cut off. They stay in the journal with their way back.
    """
    rows = {row.seq: row for row in context.journal.rows("intended", "undoing")}
    cut_off = {row.seq: context.codec.decode(_executing(row)) for row in rows.values()}
    for seq, scope in context.journal.scopes():
        settle(scope, wait=cut_off[seq].patience if seq in cut_off else 0.0)
        context.journal.close_scope(scope)
    for row in rows.values():
        cut_off[row.seq].recover(context.host_for(row.seq, row.key))
        context.journal.mark([row.seq], "recovered", "cut off; cleared before the next run")
    for run in context.journal.runs():
        if not run.status and run.id != context.run:
            context.journal.finish_run(run.id, status="killed")
    return len(rows)


def _executing(row: Row) -> Encoded:
    """What of a cut-off row was being executed: the action, or its way back."""
    return row.inverse if row.state == "undoing" and row.inverse else row.action


def latest(journal: Journal) -> tuple[Row, ...]:
    """The live actions of the latest run that changed something, oldest first."""
    rows = journal.rows(*LIVE)
    last = max((row.run for row in rows), default=0)
    return tuple(row for row in rows if row.run == last)


def of_run(journal: Journal, run: int) -> tuple[Row, ...]:
    """The live actions of one run; refused while a later run touched one of its keys."""
    rows = journal.rows(*LIVE)
    mine = tuple(row for row in rows if row.run == run)
    keys = {row.key for row in mine}
    later = sorted({row.key for row in rows if row.run > run and row.key in keys})
    if later:
        raise Failure("OLR-RUN-010", run=run, keys=", ".join(later))
    return mine


def undo(rows: Sequence[Row], context: Context) -> Undone:
    """Take back the given actions. What lies inside something the same undo removes goes with it."""
    undone = Undone()
    held: dict[str, list[Row]] = {removes: [] for row in rows if (removes := _removes(row, context))}
    singly: list[Row] = []
    for row in rows:
        held.get(context.codec.decode(row.action).inside, singly).append(row)
    unmoved: set[str] = set()
    for row in _past_repairs(singly, context):
        if context.stop.is_set():
            undone.failure = Interrupted()
            return undone
        try:
            _take_back(row, held, context, undone)
        except Failure as failure:
            # One thing that will not go must not hold the rest; its row stays live for the next try.
            unmoved.add(_removes(row, context))
            context.journal.mark([row.seq], row.state, row.detail)
            undone.left.append(Left(row.what, str(failure)))
            context.emit(Noted(at=time.time(), level="warning", text=f"stays for now: {row.what}: {failure}"))
    for name, stayed in held.items():
        if name not in unmoved:
            context.journal.mark([row.seq for row in stayed], "left", f"{name} could not be removed")
        undone.left += [Left(row.what, f"{name}, which holds it, could not be removed") for row in stayed]
    return undone


def _past_repairs(rows: Sequence[Row], context: Context) -> list[Row]:
    """The rows, the latest first, with later ones on the same thing folded into the one that began it.

    Something installed, damaged and repaired goes straight back to what was before the installation, in the
    installation's turn; the damage in between is nobody's wish. The journal is told first, so that a crash
    never meets half of it.
    """
    decode, encode = context.codec.decode, context.codec.encode
    kept: dict[int, Row] = {}
    began: dict[tuple[str, str], int] = {}
    for row in sorted(rows, key=lambda row: row.order):
        kept[row.seq] = row
        if row.inverse is None:
            continue
        inverse = decode(row.inverse)
        # Not by key: what one resource put another may have taken away, and the first put again.
        name = (inverse.kind, inverse.target)
        first = kept.get(began.get(name, -1))
        combined = inverse.past(decode(first.inverse)) if first and first.inverse else None
        if first is None or combined is None:
            began[name] = row.seq
            continue
        kept[first.seq] = replace(first, inverse=encode(combined))
        context.journal.fold(first.seq, encode(combined), row.seq)
        del kept[row.seq]
    return list(reversed(kept.values()))


def _removes(row: Row, context: Context) -> str:
    return context.codec.decode(row.inverse).removes if row.inverse else ""


def _take_back(row: Row, held: dict[str, list[Row]], context: Context, undone: Undone) -> None:
    """Execute one inverse; an inverse may be run twice, so a crash in here is simply taken up again."""
    journal, began = context.journal, time.time()
    if row.inverse is None:
        outcome: Outcome = Left(row.what, row.irreversible)
    else:
        inverse = context.codec.decode(row.inverse)
        what = inverse.describe()
        journal.mark([row.seq], "undoing", row.detail)
        context.emit(ActionStarted(at=began, seq=row.seq, key=row.key, kind=inverse.kind, what=what))
        outcome = inverse.execute(context.host_for(row.seq, row.key))
        undone.changes += 1
    match outcome:
        case Done():
            # Before the container's own row: cut off between the two, it is simply removed once more.
            _went_along(_removes(row, context), held, context, undone)
            journal.mark([row.seq], "undone")
            name, detail = "done", ""
        case Left(what, why):
            journal.mark([row.seq], "left", why)
            undone.left.append(outcome)
            name, detail = "left", f"{what}: {why}"
        case Kept(what, why):
            journal.mark([row.seq], "kept", why)
            undone.kept.append(outcome)
            name, detail = "kept", f"{what}: {why}"
    seconds = time.time() - began
    kind = row.inverse[0] if row.inverse else row.action[0]
    context.emit(
        ActionFinished(
            at=time.time(), seq=row.seq, key=row.key, kind=kind, outcome=name, seconds=seconds, detail=detail
        )
    )


def _went_along(container: str, held: dict[str, list[Row]], context: Context, undone: Undone) -> None:
    """Settle the accounts of what went away with its container."""
    went = held.pop(container, [])
    context.journal.mark([row.seq for row in went], "contained", "went with what held it")
    undone.changes += len(went)
    if went:
        text = f"{len(went)} things went away with {container}"
        context.emit(Noted(at=time.time(), level="info", text=text))
