"""Resources: the desired state of one thing, and the decision what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from installers.core.model.action import Action
from installers.core.model.facts import Fact, Facts


@dataclass(frozen=True, slots=True)
class Satisfied:
    """Nothing to do, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """What to do, in order, why, and what will then be true (for later decisions in the plan)."""

    actions: tuple[Action, ...]
    why: str
    predicts: Mapping[Fact[Any], Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Blocked:
    """It cannot be had here: a failure id from the catalogue and its fields."""

    id: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class May:
    """A permission: an action of this kind on this target may come out of a deferred decision."""

    kind: str
    target: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """It cannot be decided before something else exists; what may then be done is bounded now.

    ``id``: the failure that says what a person has to do for it (a restart); "" where this run does it.
    """

    until: str
    may_become: tuple[May, ...]
    id: str = ""


Decision = Satisfied | Change | Blocked | Deferred


class Resource(Protocol):
    """Frozen desired state. ``decide`` is pure: facts in, decision out."""

    @property
    def key(self) -> str:
        """``kind:name``; one owner per plan."""

    @property
    def listens(self) -> tuple[str, ...]:
        """Keys whose change this resource must act on (restart, reload)."""

    def needs(self) -> tuple[Fact[Any], ...]: ...
    def decide(self, facts: Facts) -> Decision: ...


@dataclass(frozen=True, slots=True)
class Step:
    """A resource in its place: the component and phase it belongs to and the keys it comes after.

    ``background`` marks downloads and builds: they have no predecessors, start at once and never
    hold up a lane.
    """

    resource: Resource
    component: str
    phase: str
    after: frozenset[str] = frozenset()
    background: bool = False
