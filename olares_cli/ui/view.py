"""Showing a run: live on a terminal, as plain lines on a pipe, as JSON lines, or not at all."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, Self

from olares_cli.runs.records import Process, Record, Result, plain_record
from olares_cli.session import Output, Session
from olares_cli.ui.silent import Silent


class View(AbstractContextManager["View"], Protocol):
    """``show`` is called for each record, ``tick`` about ten times a second in between."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def show(self, record: Record) -> None: ...
    def tick(self) -> None: ...


def view_for(session: Session) -> View:
    if session.output is Output.jsonl:
        return JsonLines(session)
    if session.output is Output.json or session.verbosity < 0:
        return Silent()
    if session.draws(session.err):
        from olares_cli.ui.live import LiveView

        return LiveView(session)
    from olares_cli.ui.lines import LineView

    return LineView(session)


class JsonLines(Silent):
    """Each event as one line on standard output; the result follows as the last line."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def show(self, record: Record) -> None:
        if not isinstance(record, Process | Result):
            self._session.record(plain_record(record))
