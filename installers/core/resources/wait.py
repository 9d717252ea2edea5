"""Waits: steps that change nothing and hold up what comes after them until something is true."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from installers.core.actions.wait import WaitFor, WaitReady, encoded_fact
from installers.core.facts.objects import ObjectsOf, identity_of
from installers.core.facts.results import Readiness
from installers.core.model import Change, Decision, Fact, Facts, Ref, Satisfied


@dataclass(frozen=True, slots=True)
class Rollout:
    """An object that must be ready: a workload rolled out, a job complete, a claim bound, endpoints there.

    ``deadline``: seconds from the moment it is waited for.
    """

    ref: Ref
    deadline: float = 300.0

    @property
    def key(self) -> str:
        return f"rollout:{identity_of(self.ref)}"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Readiness(self.ref), ObjectsOf(self.ref.kind))

    def decide(self, facts: Facts) -> Decision:
        action = WaitReady(self.ref, self.deadline)
        live = facts[ObjectsOf(self.ref.kind)].get(identity_of(self.ref))
        if live is not None and live.changing:
            # What its status says is about the version before.
            return Change((action,), "it is about to change")
        ready = facts[Readiness(self.ref)]
        return Satisfied(ready.text) if ready.done else Change((action,), ready.text)


@dataclass(frozen=True, slots=True)
class Wait:
    """A fact that must take one of these values within ``deadline`` seconds; ``name`` says what that means."""

    name: str
    fact: Fact[Any]
    expected: tuple[Any, ...] = (True,)
    deadline: float = 60.0

    @property
    def key(self) -> str:
        return f"wait:{self.name}"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self.fact,)

    def decide(self, facts: Facts) -> Decision:
        # A fact that cannot be read yet is a reason to wait, not to stop.
        if self.fact in facts and facts[self.fact] in self.expected:
            return Satisfied(f"{self.name}: it is so")
        expected = tuple(_json(value) for value in self.expected)
        action = WaitFor(self.name, *encoded_fact(self.fact), expected, self.deadline)
        return Change((action,), f"{self.name}: not yet", {self.fact: self.expected[0]})


def _json(value: Any) -> str:
    import msgspec

    return json.dumps(msgspec.to_builtins(value), sort_keys=True)
