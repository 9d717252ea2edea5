"""Single firewall rules of ours in chains that belong to the system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.firewall import AddRule
from installers.core.facts.firewall import Firewall
from installers.core.model import Change, Decision, Fact, Facts, Satisfied


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """A rule in a chain: ``FirewallRule("nat", "POSTROUTING", ("-s", "10.0.0.0/24", "-j", "MASQUERADE"))``.

    ``place``: ``last`` or ``first`` in the chain when it is put there. ``family``: 4 or 6.
    The comment marks it as ours.
    """

    table: str
    chain: str
    spec: tuple[str, ...]
    comment: str = "olares"
    place: str = "last"
    family: int = 4

    @property
    def args(self) -> tuple[str, ...]:
        return ("-m", "comment", "--comment", self.comment, *self.spec)

    @property
    def key(self) -> str:
        return f"firewall:{self.family}/{self.table}/{self.chain} {' '.join(self.spec)}"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Firewall(self.family),)

    def decide(self, facts: Facts) -> Decision:
        if facts[Firewall(self.family)].has(self.table, self.chain, self.args):
            return Satisfied("the rule is there")
        action = AddRule(self.family, self.table, self.chain, self.args, self.place)
        return Change((action,), "there is no such rule")
