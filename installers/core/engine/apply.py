"""Applying a plan: decide again, journal, act, verify; in parallel where nothing stands between."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from installers.core.engine.context import Context
from installers.core.engine.gather import FactStore
from installers.core.engine.plan import Past, Plan, Planned, decide, listeners
from installers.core.errors import Failure, Interrupted
from installers.core.model import (
    Action,
    Blocked,
    Change,
    Decision,
    Deferred,
    Irreversible,
    May,
    Owed,
    Resource,
    Satisfied,
    masked,
)
from installers.core.model.events import ActionFinished, ActionStarted, StepFinished, StepStarted

BUILDERS = 2
"""Downloads and builds at once, beside the workers: one saturates the line, one the cores."""


@dataclass(slots=True)
class Applied:
    """What an apply did: actions executed, and the first failure if there was one."""

    changes: int = 0
    failure: BaseException | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> None:
        with self._guard:
            self.changes += 1


def apply(plan: Plan, context: Context) -> Applied:
    """Execute a plan. The first failure stops new steps; what runs is let finish."""
    run = _Run(plan, context)
    if context.workers == 1:
        run.inline()
    else:
        run.parallel()
    return run.applied


class _Run:
    """The state of one apply: which steps are done, and a lock per lane."""

    def __init__(self, plan: Plan, context: Context) -> None:
        self.context = context
        self.items = {item.step.resource.key: item for item in plan.items}
        self.listening = listeners(item.step for item in plan.items)
        self.applied = Applied()
        self._lanes: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def _lane(self, name: str) -> threading.Lock:
        with self._guard:
            return self._lanes.setdefault(name, threading.Lock())

    def inline(self) -> None:
        for item in self.items.values():
            try:
                self._step(item)
            except (Failure, Interrupted) as failure:
                self.applied.failure = failure
                return

    def parallel(self) -> None:
        """Start each step when those it comes after are done."""
        waiting = {key: {a for a in item.step.after if a in self.items} for key, item in self.items.items()}
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(self.context.workers) as pool, ThreadPoolExecutor(BUILDERS) as builders:
            while waiting or running:
                if self.applied.failure is None:
                    for key in [key for key, after in waiting.items() if not after]:
                        item = self.items[key]
                        running[(builders if item.step.background else pool).submit(self._step, item)] = key
                        del waiting[key]
                if not running:
                    return
                try:
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                except KeyboardInterrupt as interrupt:
                    self.applied.failure = self.applied.failure or interrupt
                    self.context.stop.set()
                    continue
                for future in finished:
                    key = running.pop(future)
                    if (failure := future.exception()) is not None:
                        self.applied.failure = self.applied.failure or failure
                        self.context.stop.set()
                    for after in waiting.values():
                        after.discard(key)

    def _step(self, item: Planned) -> None:
        """Bring one step about, and say so."""
        if isinstance(item.decision, Satisfied) and not item.assumed:
            return
        if self.context.stop.is_set():
            raise Interrupted
        step, began = item.step, time.time()
        names = {"key": step.resource.key, "component": step.component, "phase": step.phase}
        try:
            outcome = self._bring_about(item, names)
        except BaseException as failure:
            id = failure.id if isinstance(failure, Failure) else ""
            ended = "interrupted" if isinstance(failure, Interrupted | KeyboardInterrupt) else "failed"
            self.context.emit(
                StepFinished(
                    at=time.time(), **names, outcome=ended, seconds=time.time() - began, id=id, detail=str(failure)
                )
            )
            raise
        self.context.emit(StepFinished(at=time.time(), **names, outcome=outcome, seconds=time.time() - began))

    def _bring_about(self, item: Planned, names: Mapping[str, str]) -> str:
        resource = item.step.resource
        decision = self._look(resource)
        match decision:
            case Satisfied():
                return "satisfied"
            case Blocked(id, fields):
                raise Failure(id, **fields)
            case Deferred(until, _, id):
                raise Failure(id) if id else Failure("OLR-RUN-003", key=resource.key, until=until)
            case Change(actions, why, _):
                pass
        self._permitted(item, actions)
        self.context.emit(StepStarted(at=time.time(), **names, what=masked(why)))
        owed = self.context.journal.owed().get(resource.key, frozenset())
        for action in actions:
            self._act(action, item)
        after = self._look(resource, settled=owed)
        if not isinstance(after, Satisfied):
            raise Failure("OLR-RUN-004", key=resource.key, why=_reason(after))
        self.context.journal.settle_owed(resource.key, owed)
        return "changed"

    def _look(self, resource: Resource, settled: frozenset[str] = frozenset()) -> Decision:
        """The decision on fresh facts; ``settled`` are owed causes just acted upon."""
        journal = self.context.journal
        given = Past(journal.owed(), journal.recorded()).answers(resource)
        if Owed(resource.key) in given:
            given[Owed(resource.key)] -= settled
        store = FactStore(self.context.probe, given)
        store.load(resource.needs())
        return decide(resource, store.view(resource.needs()))

    def _permitted(self, item: Planned, actions: Sequence[Action]) -> None:
        """Every action executed stood in the plan, or in what a Deferred said it may become."""
        encode = self.context.codec.encode
        match item.decision:
            case Change(planned, _, _):
                allowed = {encode(action) for action in planned}
                strange = [action for action in actions if encode(action) not in allowed]
            case Deferred(_, may_become):
                strange = [action for action in actions if May(action.kind, action.target) not in may_become]
            case _:
                strange = list(actions)
        if strange:
            what = "; ".join(masked(action.describe()) for action in strange)
            raise Failure("OLR-RUN-009", key=item.step.resource.key, what=what)

    def _act(self, action: Action, item: Planned) -> None:
        """Journal one action with its way back, then execute it."""
        context, key = self.context, item.step.resource.key
        with self._lane(action.lane or key):
            if context.stop.is_set():
                raise Interrupted
            inverse = action.inverse(context.probe)
            back = inverse.reason if isinstance(inverse, Irreversible) else context.codec.encode(inverse)
            what = masked(action.describe())
            seq = context.journal.intend(
                context.run,
                key=key,
                component=item.step.component,
                action=context.codec.encode(action),
                inverse=back,
                what=what,
                target=action.target,
                owes=self.listening.get(key, ()),
            )
            began = time.time()
            context.emit(ActionStarted(at=began, seq=seq, key=key, kind=action.kind, what=what))
            # What a later run would wait for must not be cut short by this one either.
            host = context.host_for(seq, key) if action.patience else context.host_to_cut(seq, key)
            action.execute(host)
            context.journal.complete(seq)
            self.applied.count()
            seconds = time.time() - began
            context.emit(
                ActionFinished(at=time.time(), seq=seq, key=key, kind=action.kind, outcome="done", seconds=seconds)
            )


def _reason(decision: Decision) -> str:
    match decision:
        case Satisfied(why) | Change(_, why, _):
            return masked(why)
        case Blocked(id, fields):
            return Failure(id, **fields).what
        case Deferred(until, _):
            return f"it waits until {until}"
