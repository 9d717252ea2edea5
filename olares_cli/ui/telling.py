"""Progress of one piece of work as a line now and then: for what is no run and draws no board."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from olares_cli.session import Session
from olares_cli.ui.amounts import amount

EVERY = 5.0
"""Seconds between two lines; what takes less says nothing."""


@dataclass(slots=True)
class Telling:
    """A report that says how far things are, on standard error, for people only."""

    session: Session
    clock: Callable[[], float] = time.monotonic
    _last: float = field(default=-1.0)

    def __call__(self, done: int, total: int, unit: str, text: str = "") -> None:
        now = self.clock()
        if self._last < 0:
            self._last = now
        if self.session.human and now - self._last >= EVERY:
            self._last = now
            self.session.say(f"  {amount(done, total, unit)}{f': {text}' if text else ''}")
