"""A run as plain lines: for pipes, files and CI."""

from __future__ import annotations

from installers.core.model.events import (
    ActionFinished,
    ActionStarted,
    Event,
    Noted,
    Progress,
    RunStarted,
    StepFinished,
)
from olares_cli.runs.records import Process, Record, Result
from olares_cli.session import Session
from olares_cli.ui.amounts import amount, counted, duration
from olares_cli.ui.board import Board
from olares_cli.ui.silent import Silent

EVERY = 15.0
"""Seconds between two lines about the progress of one step."""


class LineView(Silent):
    """One line a finished step; with -v one an action; progress now and then."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._board = Board()
        self._told: dict[str, float] = {}

    def show(self, record: Record) -> None:
        if isinstance(record, Process | Result):
            return
        self._board.update(record)
        text = self._line(record)
        if text:
            self._session.say(text)

    def _line(self, event: Event) -> str:
        match event:
            case RunStarted() if self._board.total:
                return f"{event.verb}: {counted(self._board.total, 'step')} to do"
            case ActionStarted() if self._session.verbosity > 0:
                return f"  {event.what}"
            case ActionFinished(outcome="left" | "kept"):
                return f"  {event.outcome}: {event.detail}"
            case StepFinished():
                return self._finished(event)
            case Noted():
                return f"Warning: {event.text}" if event.level == "warning" else event.text
            case Progress():
                return self._progress(event)
        return ""

    def _finished(self, event: StepFinished) -> str:
        place = f"[{self._board.done}/{self._board.total}]"
        if event.outcome == "failed":
            return f"{place} {event.component}: {event.key} failed: {event.detail or event.id}"
        if event.outcome == "satisfied" and self._session.verbosity <= 0:
            return ""
        return f"{place} {event.component}: {event.key} {event.outcome} ({duration(event.seconds)})"

    def _progress(self, event: Progress) -> str:
        step = self._board.running.get(event.key)
        if step is None or event.at - self._told.get(event.key, step.since) < EVERY:
            return ""
        self._told[event.key] = event.at
        about = f": {event.text}" if event.text else ""
        return f"  {step.component}: {amount(event.done, event.total, event.unit)}{about}"
