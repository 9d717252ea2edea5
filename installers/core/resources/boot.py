"""What the computer's own start has to be told, and that it has been started since."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from installers.core.actions.words import AddWords
from installers.core.facts.boards import RaspberryPi
from installers.core.model import Blocked, Change, Decision, Deferred, Fact, Facts, Satisfied
from installers.core.resources.base import BaseResource
from installers.core.resources.templates import Expression


@dataclass(frozen=True, slots=True)
class FirmwareWords(BaseResource):
    """Words on the kernel's command line, in the file from which a Raspberry Pi's firmware takes it."""

    words: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"cmdline:{' '.join(self.words)}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (RaspberryPi(),)

    def decide(self, facts: Facts) -> Decision:
        found = facts[RaspberryPi()]
        if found is None:
            return Satisfied("this is no Raspberry Pi")
        if not found.cmdline:
            return Blocked("OLR-BOOT-002", {"words": " ".join(self.words)})
        missing = tuple(word for word in self.words if word not in found.words)
        if not missing:
            return Satisfied(f"{found.cmdline} has them")
        after = replace(found, words=(*found.words, *missing))
        why = f"{found.cmdline} lacks {' '.join(missing)}"
        return Change((AddWords(found.cmdline, missing),), why, {RaspberryPi(): after})


@dataclass(frozen=True, slots=True)
class Restarted(BaseResource):
    """This computer has been restarted, where ``pending`` is true: a person does that, no run can.

    ``id``: the failure that says so and ends the run; it has no fields. What comes after this in a plan is
    not reached, and ``olares-cli resume`` goes on once the computer is up again.
    """

    name: str
    pending: Expression
    id: str

    @property
    def key(self) -> str:
        return f"restart:{self.name}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return self.pending.needs()

    def decide(self, facts: Facts) -> Decision:
        if self.pending.value(facts):
            return Deferred("this computer has been restarted", (), self.id)
        return Satisfied("nothing waits for a restart")
