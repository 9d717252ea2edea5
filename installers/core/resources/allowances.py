"""What a firewall has to let through, where one is on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from installers.core.actions.allowances import Allow
from installers.core.facts.allowances import FirewallAllows
from installers.core.model import Blocked, Change, Decision, Fact, Facts, Satisfied
from installers.core.resources.base import BaseResource


@dataclass(frozen=True, slots=True)
class Allowance(BaseResource):
    """``what`` (``source 10.0.0.0/16``, ``forward 10.0.0.0/16``, ``port 6443/tcp``, ``masquerade 10.0.0.0/16``) is let
    through by a firewall program, now and after its next start; nothing where that program is off.

    A rule that was there before us is nobody's but its owner's, and stays at undo.
    """

    manager: str
    what: str

    @property
    def key(self) -> str:
        return f"allow:{self.manager} {self.what}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (FirewallAllows(self.manager),)

    def decide(self, facts: Facts) -> Decision:
        found = facts[FirewallAllows(self.manager)]
        if found is None:
            return Satisfied(f"{self.manager} is not on here")
        if decided := found.otherwise(self.what):
            # Others reach the API or not as the owner says; without its pods there is no cluster.
            if self.what.startswith("port "):
                return Satisfied(f"{self.manager} has been told otherwise: {decided}")
            return Blocked("OLR-FIREWALL-002", {"manager": self.manager, "what": self.what, "decided": decided})
        if not found.lacking(self.what):
            return Satisfied(f"{self.manager} lets it through")
        after = replace(found, now=_with(found.now, self.what), always=_with(found.always, self.what))
        why = f"{self.manager} is on and does not let it through"
        return Change((Allow(self.manager, self.what),), why, {FirewallAllows(self.manager): after})


def _with(rules: tuple[str, ...], what: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*rules, what)))
