"""Planning: facts in, decisions out, nothing written. The same decisions are made again by apply."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from installers.core.engine.gather import FactStore, View
from installers.core.engine.journal import Encoded
from installers.core.errors import Failure
from installers.core.model import (
    Action,
    Blocked,
    Change,
    Claimed,
    Decision,
    Deferred,
    Fact,
    FactUnknown,
    Owed,
    Probe,
    Recorded,
    Resource,
    Satisfied,
    Step,
    masked,
)


class Codec(Protocol):
    """How actions are stored; the engine is handed it, since actions live on a floor above."""

    def encode(self, action: Action) -> Encoded: ...
    def decode(self, encoded: Encoded) -> Action: ...


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal knows and no probe can see."""

    owed: Mapping[str, frozenset[str]]
    recorded: Mapping[str, tuple[str, ...]]

    def answers(self, resource: Resource) -> dict[Fact[Any], Any]:
        """Values for those of a resource's needs which only the journal can answer."""
        given: dict[Fact[Any], Any] = {}
        for fact in resource.needs():
            if isinstance(fact, Owed):
                given[fact] = self.owed.get(fact.key, frozenset())
            elif isinstance(fact, Claimed):
                given[fact] = f"footprint:{fact.key}" in self.recorded.get(fact.key, ())
            elif isinstance(fact, Recorded):
                given[fact] = self.recorded.get(fact.key, ())
        return given


@dataclass(frozen=True, slots=True)
class Planned:
    """A step with its decision. ``assumed``: it rests on predictions, so apply looks again."""

    step: Step
    decision: Decision
    assumed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Every step in order with what would be done about it."""

    items: tuple[Planned, ...]

    def changes(self) -> tuple[Planned, ...]:
        return tuple(item for item in self.items if isinstance(item.decision, Change))

    def blocked(self) -> tuple[Planned, ...]:
        return tuple(item for item in self.items if isinstance(item.decision, Blocked))

    def deferred(self) -> tuple[Planned, ...]:
        return tuple(item for item in self.items if isinstance(item.decision, Deferred))

    def to_json(self) -> dict[str, Any]:
        """The plan as data: what ``plan -o`` writes and ``install --plan`` compares."""
        return {"version": 1, "steps": [_item_json(item) for item in self.items]}

    def differences(self, saved: Mapping[str, Any]) -> tuple[str, ...]:
        """The keys whose decision is not the one in a saved plan, in order."""
        then = {str(row["key"]): row for row in saved.get("steps", ())}
        now = {row["key"]: row for row in self.to_json()["steps"]}
        keys = dict.fromkeys([*now, *then])
        return tuple(key for key in keys if _decided(now.get(key)) != _decided(then.get(key)))


def _decided(row: Mapping[str, Any] | None) -> object:
    """What must agree between a saved plan and a fresh one: the decision and its actions, not its wording."""
    return row and (row["decision"], row.get("actions"), row.get("may_become"), row.get("id"))


def _item_json(item: Planned) -> dict[str, Any]:
    step, decision = item.step, item.decision
    row: dict[str, Any] = {"key": step.resource.key, "component": step.component, "phase": step.phase}
    match decision:
        case Satisfied(why):
            row |= {"decision": "satisfied", "why": why}
        case Change(actions, why, _):
            shown = [{"kind": a.kind, "target": a.target, "what": masked(a.describe())} for a in actions]
            row |= {"decision": "change", "why": masked(why), "actions": shown}
        case Blocked(id, fields):
            failure = Failure(id, **fields)
            row |= {"decision": "blocked", "id": id, "what": failure.what, "next": failure.next}
        case Deferred(until, may_become, id):
            row |= {"decision": "deferred", "until": until, "may_become": [[m.kind, m.target] for m in may_become]}
            row |= {"id": id} if id else {}
    return row


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Steps so that each comes after those it names; otherwise as given. A cycle or a twin key is refused."""
    index = {step.resource.key: number for number, step in enumerate(steps)}
    if len(index) != len(steps):
        seen: set[str] = set()
        twin = next(s.resource.key for s in steps if s.resource.key in seen or seen.add(s.resource.key))  # type: ignore[func-returns-value]
        owners = [step.component for step in steps if step.resource.key == twin]
        raise Failure("OLR-RUN-007", key=twin, owners=" and ".join(owners))
    waiting = {key: sum(1 for after in steps[number].after if after in index) for key, number in index.items()}
    followers: dict[str, list[str]] = {}
    for step in steps:
        for after in step.after:
            followers.setdefault(after, []).append(step.resource.key)
    ready = [index[key] for key, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    ordered: list[Step] = []
    while ready:
        step = steps[heapq.heappop(ready)]
        ordered.append(step)
        for follower in followers.get(step.resource.key, ()):
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, index[follower])
    if len(ordered) != len(steps):
        raise Failure("OLR-RUN-008", keys=", ".join(sorted(key for key, count in waiting.items() if count)))
    return ordered


def listeners(steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
    """Who must react to a change of which key."""
    found: dict[str, tuple[str, ...]] = {}
    for step in steps:
        for key in step.resource.listens:
            found[key] = (*found.get(key, ()), step.resource.key)
    return found


def decide(resource: Resource, view: View) -> Decision:
    """A resource's decision; a fact that could not be read blocks it, saying which and why."""
    try:
        return resource.decide(view)
    except FactUnknown as unknown:
        return Blocked("OLR-RUN-002", {"key": resource.key, "fact": str(unknown.fact), "reason": unknown.reason})


def make_plan(steps: Sequence[Step], probe: Probe, past: Past) -> Plan:
    """Decide every step from facts and from what the changes before it will make true."""
    ordered = in_order(steps)
    listening = listeners(ordered)
    store = FactStore(probe, {})
    owed = dict(past.owed)
    store.load(
        fact for step in ordered for fact in step.resource.needs() if not isinstance(fact, Owed | Claimed | Recorded)
    )
    items: list[Planned] = []
    for step in ordered:
        needs = step.resource.needs()
        for fact, value in Past(owed, past.recorded).answers(step.resource).items():
            store.give(fact, value)
        newly_owed = bool(owed.get(step.resource.key, frozenset()) - past.owed.get(step.resource.key, frozenset()))
        decision = decide(step.resource, store.view(needs))
        assumed = newly_owed or not store.predicted.isdisjoint(needs)
        items.append(Planned(step, decision, assumed))
        if isinstance(decision, Change):
            store.predict(decision.predicts)
            for listener in listening.get(step.resource.key, ()):
                owed[listener] = owed.get(listener, frozenset()) | {step.resource.key}
    return Plan(tuple(items))
