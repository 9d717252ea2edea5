"""Making secrets and removing them."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import make_parents
from installers.core.facts.files import missing_parents
from installers.core.facts.secrets import SecretPresent
from installers.core.host.secrets import secret_path
from installers.core.model import DONE, Action, Host, Irreversible, Kept, Outcome, Probe
from installers.site import Paths

ALPHABET = string.ascii_letters + string.digits
"""Needs no quoting in a URL, a shell, SQL or YAML."""


@dataclass(frozen=True, slots=True)
class GenerateSecret(BaseAction):
    """Make a secret from the system's random source, 0600 in 0700 directories."""

    kind: ClassVar[str] = "generate-secret"

    name: str
    length: int
    keep: bool = False

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"generate secret {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return KeepSecret(self.name) if self.keep else RemoveSecret(self.name)

    def execute(self, host: Host) -> Outcome:
        paths = Paths.from_environment()
        path = secret_path(paths, self.name)
        if SecretPresent(self.name).load(host) is True:
            return DONE
        make_parents(host, paths.secrets)
        for parent in reversed(missing_parents(host, path)):
            host.mkdir(parent, mode=0o700)
        value = "".join(secrets.choice(ALPHABET) for _ in range(self.length))
        host.write(path, value.encode(), mode=0o600)
        return DONE


@dataclass(frozen=True, slots=True)
class RemoveSecret(BaseAction):
    """Remove a secret and the directories of the store that are empty then."""

    kind: ClassVar[str] = "remove-secret"

    name: str

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"remove secret {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("a secret's value is kept nowhere else")

    def execute(self, host: Host) -> Outcome:
        store = Paths.from_environment().secrets
        path = secret_path(Paths.from_environment(), self.name)
        host.remove(path)
        parent = path.rpartition("/")[0]
        while parent.startswith(store) and host.stat(parent) is not None and not host.listdir(parent):
            host.remove(parent)
            parent = parent.rpartition("/")[0]
        return DONE


@dataclass(frozen=True, slots=True)
class KeepSecret(BaseAction):
    """Leave a secret in the store, because user data stays unreadable without it."""

    kind: ClassVar[str] = "keep-secret"

    name: str

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"keep secret {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("nothing is changed")

    def execute(self, host: Host) -> Outcome:
        if SecretPresent(self.name).load(host) is not True:
            return DONE
        return Kept(secret_path(Paths.from_environment(), self.name), "it opens data that is kept")


ACTIONS: tuple[type[BaseAction], ...] = (GenerateSecret, RemoveSecret, KeepSecret)
