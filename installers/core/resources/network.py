"""Network links we make: bridges."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from installers.core.actions.network import MakeLink
from installers.core.facts.network import Links, LinkState
from installers.core.model import Blocked, Change, Decision, Fact, Facts, Satisfied


@dataclass(frozen=True, slots=True)
class Link:
    """A network link that is up and has at least these addresses (``10.0.0.1/24``)."""

    name: str
    addresses: tuple[str, ...] = ()
    kind: str = "bridge"

    @property
    def key(self) -> str:
        return f"link:{self.name}"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Links(),)

    def decide(self, facts: Facts) -> Decision:
        links = facts[Links()]
        present = links.get(self.name)
        if present is not None and present.kind != self.kind:
            found = present.kind or "device"
            return Blocked("OLR-LINK-001", {"name": self.name, "kind": self.kind, "found": found})
        if present is None:
            why = "there is no such link"
        elif missing := [address for address in self.addresses if address not in present.addresses]:
            why = f"it lacks {', '.join(missing)}"
        elif not present.up:
            why = "it is down"
        else:
            return Satisfied("it is up and has its addresses")
        had = present or LinkState(self.kind)
        addresses = tuple(dict.fromkeys((*had.addresses, *self.addresses)))
        made = dataclasses.replace(had, up=True, addresses=addresses)
        action = MakeLink(self.name, self.kind, self.addresses)
        return Change((action,), why, {Links(): {**links, self.name: made}})
