"""Resources that only some hosts need, by what the host says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.model import Decision, Fact, Facts, Recorded, Resource, Satisfied
from installers.core.resources.base import Wrapper
from installers.core.resources.templates import Expression


@dataclass(frozen=True, slots=True)
class Is:
    """Whether a fact has this value."""

    fact: Fact[Any]
    wanted: object

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self.fact,)

    def value(self, facts: Facts) -> object:
        return facts[self.fact] == self.wanted


@dataclass(frozen=True, slots=True)
class Where(Wrapper):
    """A resource that is wanted where ``condition`` is true, and kept right from then on.

    Much of what is done about a condition also ends it (a mount that was not shared is): what stands
    in the journal is looked after all the same. ``otherwise``: what a plan says on other hosts.
    """

    condition: Expression
    resource: Resource
    otherwise: str

    def needs(self) -> tuple[Fact[Any], ...]:
        return tuple(dict.fromkeys((*self.condition.needs(), Recorded(self.key), *self.resource.needs())))

    def decide(self, facts: Facts) -> Decision:
        if facts[Recorded(self.key)] or self.condition.value(facts):
            return self.resource.decide(facts)
        return Satisfied(self.otherwise)
