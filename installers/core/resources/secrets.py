"""Secrets the installation makes for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.secrets import GenerateSecret
from installers.core.facts.secrets import SecretPresent
from installers.core.model import Change, Decision, Fact, Facts, Satisfied


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A random secret in the host's root-only store, made once; written elsewhere as ``str(Secret(name))``.

    ``length``: characters, letters and digits (32 are 190 bits). ``keep``: it opens user data, so an
    uninstall keeps it with the data.
    """

    name: str
    length: int = 32
    keep: bool = False

    @property
    def key(self) -> str:
        return f"secret:{self.name}"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (SecretPresent(self.name),)

    def decide(self, facts: Facts) -> Decision:
        if facts[SecretPresent(self.name)]:
            return Satisfied("it was made before")
        action = GenerateSecret(self.name, self.length, self.keep)
        return Change((action,), "there is no such secret", {SecretPresent(self.name): True})
