"""What a run looks like now, reduced from its events: phases with counts, what runs, how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from installers.core.model.events import ActionStarted, Event, Progress, RunStarted, StepFinished, StepStarted

WINDOW = 5.0
"""Seconds a rate is measured over."""


@dataclass(slots=True)
class Running:
    """A step at work. ``samples``: (time, done) within the window, for the rate."""

    component: str
    phase: str
    what: str
    since: float
    done: int = 0
    total: int = 0
    unit: str = ""
    text: str = ""
    samples: list[tuple[float, int]] = field(default_factory=list)

    def progressed(self, event: Progress) -> None:
        if (event.unit, event.total) != (self.unit, self.total) or event.done < self.done:
            self.samples.clear()
        self.done, self.total, self.unit, self.text = event.done, event.total, event.unit, event.text
        self.samples = [s for s in self.samples if event.at - s[0] <= WINDOW] + [(event.at, event.done)]

    @property
    def rate(self) -> float:
        """Units a second over the window; 0 when that cannot be said."""
        if len(self.samples) < 2:
            return 0.0
        (began, first), (now, last) = self.samples[0], self.samples[-1]
        return (last - first) / (now - began) if now > began else 0.0


@dataclass(slots=True)
class Phase:
    total: int
    done: int = 0
    failed: int = 0


@dataclass(slots=True)
class Board:
    """The state of a run. ``started``: seconds since the epoch."""

    verb: str = ""
    started: float = field(default_factory=time.time)
    phases: dict[str, Phase] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return sum(phase.done for phase in self.phases.values())

    @property
    def total(self) -> int:
        return sum(phase.total for phase in self.phases.values())

    def update(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.verb, self.started = event.verb, event.at
                self.phases = {name: Phase(total) for name, total in event.phases}
            case StepStarted():
                self.running[event.key] = Running(event.component, event.phase, event.what, event.at)
            case ActionStarted() if event.key in self.running:
                self.running[event.key].what = event.what
            case Progress() if event.key in self.running:
                self.running[event.key].progressed(event)
            case StepFinished():
                self._finished(event)

    def _finished(self, event: StepFinished) -> None:
        self.running.pop(event.key, None)
        phase = self.phases.setdefault(event.phase, Phase(0))
        if event.outcome == "failed":
            phase.failed += 1
        elif event.outcome != "interrupted":
            phase.done += 1
        # A deferred step may turn out to have more to do than the plan could count.
        phase.total = max(phase.total, phase.done + phase.failed)
