"""A run drawn on a terminal with Rich: phases with counts, what runs now, how far and how fast."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from installers.core.model.events import ActionFinished, Noted, StepFinished
from olares_cli.runs.records import Process, Record, Result
from olares_cli.session import Session
from olares_cli.ui.amounts import amount, duration, size
from olares_cli.ui.board import Board, Phase, Running
from olares_cli.ui.text import console
from olares_cli.ui.theme import STYLES

SHOWN = 8
"""Running steps drawn at most; the rest is counted."""


class LiveView:
    """Redraws four times a second; what must stay on the screen is printed above."""

    def __init__(self, session: Session, *, on: Console | None = None) -> None:
        self._verbosity = session.verbosity
        self._board = Board()
        self._console = on or console(session, session.err)
        self._live = Live(
            get_renderable=lambda: drawn(self._board, now=time.time()),
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def tick(self) -> None:
        """Rich redraws by itself."""

    def show(self, record: Record) -> None:
        if isinstance(record, Process | Result):
            return
        self._board.update(record)
        match record:
            case Noted():
                self._print(record.text, "warning" if record.level == "warning" else "plain")
            case StepFinished(outcome="failed"):
                self._print(f"{record.component}: {record.key} failed: {record.detail or record.id}", "bad")
            case StepFinished(outcome="interrupted"):
                self._print(f"{record.component}: {record.key} was interrupted", "warning")
            case StepFinished(outcome="changed"):
                self._print(f"{record.component}: {record.key}  ({duration(record.seconds)})", "faint")
            case ActionFinished(outcome="left" | "kept"):
                self._print(f"{record.outcome}: {record.detail}", "warning")

    def _print(self, text: str, meaning: str) -> None:
        self._console.print(Text(text, STYLES[meaning]), soft_wrap=True)


def drawn(board: Board, *, now: float) -> RenderableType:
    """The picture of a board."""
    head = Text.assemble(
        (board.verb or "starting", STYLES["strong"]), f"  {duration(max(0.0, now - board.started))} elapsed"
    )
    phases = Table.grid(padding=(0, 2, 0, 0))
    for name, phase in board.phases.items():
        phases.add_row(Text(_mark(phase), _meaning(phase)), Text(name), Text(f"{phase.done}/{phase.total}"))
    steps = Table.grid(padding=(0, 2, 0, 0))
    for step in list(board.running.values())[:SHOWN]:
        steps.add_row(*_step(step, now=now))
    parts: list[RenderableType] = [head, *(grid for grid in (phases, steps) if grid.row_count)]
    if len(board.running) > SHOWN:
        parts.append(Text(f"and {len(board.running) - SHOWN} more", STYLES["faint"]))
    return Group(*parts)


def _mark(phase: Phase) -> str:
    if phase.failed:
        return "✗"
    return "✓" if phase.done >= phase.total else "·"


def _meaning(phase: Phase) -> str:
    if phase.failed:
        return STYLES["bad"]
    return STYLES["good" if phase.done >= phase.total else "waiting"]


def _step(step: Running, *, now: float) -> tuple[RenderableType, ...]:
    about = Text(f"{step.component}: {step.what}", overflow="ellipsis", no_wrap=True)
    elapsed = Text(duration(max(0.0, now - step.since)), STYLES["faint"])
    if not step.unit:
        return about, elapsed, Text(), Text()
    rate = f"  {size(step.rate)}/s" if step.unit == "bytes" and step.rate else ""
    told = Text(f"{amount(step.done, step.total, step.unit)}{rate}  {step.text}".rstrip(), no_wrap=True)
    bar: RenderableType = ProgressBar(total=step.total, completed=step.done, width=20) if step.total else Text()
    return about, elapsed, bar, told
