"""What a run says while it works: typed events, drawn by Rich, printed as JSON lines, relayed over SSH."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. ``at``: seconds since the epoch. ``host`` is set by a relay, else ""."""

    type: ClassVar[str] = "event"
    at: float = 0.0
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run begins; ``steps`` maps each phase to the number of steps with something to do."""

    type: ClassVar[str] = "run-started"
    run: str
    verb: str
    phases: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    type: ClassVar[str] = "step-started"
    key: str
    component: str
    phase: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStarted(Event):
    """An action is in the journal and about to act. ``seq``: its place in the journal."""

    type: ClassVar[str] = "action-started"
    seq: int
    key: str
    kind: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFinished(Event):
    """``seconds``: wall time. ``outcome``: done, left or kept; ``detail`` says why for the latter."""

    type: ClassVar[str] = "action-finished"
    seq: int
    key: str
    kind: str
    outcome: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """How far a step is; ``total`` 0 means unknown."""

    type: ClassVar[str] = "progress"
    key: str
    done: int
    total: int
    unit: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Event):
    """``outcome``: satisfied, changed, failed, interrupted. ``id``: the failure's id, else ""."""

    type: ClassVar[str] = "step-finished"
    key: str
    component: str
    phase: str
    outcome: str
    seconds: float
    id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Event):
    """Something worth a line: a warning, a substitute, what an undo left. ``level``: info, warning."""

    type: ClassVar[str] = "noted"
    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """``status``: done, failed, interrupted, left. ``changes``: actions executed."""

    type: ClassVar[str] = "run-finished"
    run: str
    status: str
    changes: int
    seconds: float
    id: str = ""
    detail: str = ""


Emit = Callable[[Event], None]

TYPES: dict[str, type[Event]] = {
    t.type: t
    for t in (
        RunStarted,
        StepStarted,
        ActionStarted,
        ActionFinished,
        Progress,
        StepFinished,
        Noted,
        RunFinished,
    )
}
