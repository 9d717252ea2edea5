"""How a worker talks to the action that started it: one JSON object a line on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from installers.core.errors import Failure

FAILED = 65
"""The worker's exit status when its last line carries a catalogued failure."""


class Report(Protocol):
    """Takes how far the work is; ``total`` 0 means unknown."""

    def __call__(self, done: int, total: int, unit: str, text: str = "") -> None: ...


@dataclass(slots=True)
class Lines:
    """Reports as lines of JSON, at most ``per_second`` of them unless the text changes or it is the last."""

    write: Callable[[str], object] = sys.stdout.write
    clock: Callable[[], float] = time.monotonic
    per_second: float = 5
    _last: float = field(default=-1.0)
    _row: tuple[int, int, str, str] = field(default=(0, 0, "", ""))

    def __call__(self, done: int, total: int, unit: str, text: str = "") -> None:
        now, row = self.clock(), (done, total, unit, text)
        early = now - self._last < 1 / self.per_second
        if row == self._row or (early and text == self._row[3] and done != total):
            return
        self._last, self._row = now, row
        self.write(json.dumps({"done": done, "total": total, "unit": unit, "text": text}) + "\n")
        sys.stdout.flush()


def failure_line(failure: Failure) -> str:
    """A failure for the way to the action."""
    fields = {name: str(value) for name, value in failure.fields.items()}
    return json.dumps({"failure": failure.id, "fields": fields})


def told(report: Report) -> Callable[[int, int | None, str, str], None]:
    """A report as a listener's progress, where nobody knowing the total is None."""
    return lambda done, total, unit, text: report(done, total or 0, unit, text)


@dataclass(slots=True)
class Listener:
    """The action's end: passes reports on, keeps a failure until the worker has ended."""

    progress: Callable[[int, int | None, str, str], None]
    failure: Failure | None = None

    def __call__(self, line: str) -> None:
        if not line.startswith("{"):
            return
        try:
            row = json.loads(line)
        except ValueError:
            return
        if "failure" in row:
            self.failure = Failure(row["failure"], **row["fields"])
        elif "done" in row:
            self.progress(row["done"], row["total"] or None, row["unit"], row["text"])
