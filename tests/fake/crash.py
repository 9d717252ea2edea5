"""Crashes on demand: before, inside or after the n-th mutation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NoReturn

When = Literal["before", "inside", "after"]


class Crash(BaseException):
    """The power went: nothing after this happens. A BaseException, so that no handler swallows it."""


@dataclass(slots=True)
class Injector:
    """Counts mutations and raises at the chosen one.

    ``log``: every mutation begun, with the number of moments at which it stood half-done, so that a
    first undisturbed run tells a test how many crashes there are to try. ``off``: the crash has
    happened; until ``disarm`` nothing changes any more, whatever handlers on the way up attempt.
    """

    at: int | None = None
    when: When = "before"
    step: int = 1
    count: int = 0
    off: bool = False
    log: list[tuple[str, int]] = field(default_factory=list)

    def arm(self, n: int, when: When, *, step: int = 1) -> None:
        """Crash at the n-th mutation from now, counted from 1; ``inside`` at its step-th moment or its last."""
        self.at, self.when, self.step = self.count + n, when, step

    def disarm(self) -> None:
        self.at, self.off = None, False

    def drive(self, what: str, steps: Iterator[None]) -> None:
        """Carry out one mutation given as its steps; each yield is a moment where it stands half-done."""
        if self.off:
            raise Crash(f"already off before {what}")
        self.count += 1
        self.log.append((what, 0))
        hit = self.count == self.at
        if hit and self.when == "before":
            self._crash(f"before {what}")
        for number, _ in enumerate(steps, 1):
            self.log[-1] = (what, number)
            if hit and self.when == "inside" and number == self.step:
                self._crash(f"inside {what}, step {number}")
        if hit:
            self._crash(f"{self.when} {what}")

    def _crash(self, where: str) -> NoReturn:
        self.off = True
        raise Crash(where)
