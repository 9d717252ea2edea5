"""Drop-ins of services that are not ours and that read them while they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import PutFile, RestoreFileOf, clear_half_written
from installers.core.facts.files import before_image, sha256
from installers.core.facts.protection import service_runs
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Probe

SECONDS = 60.0


def _reload(host: Host, unit: str) -> None:
    if service_runs(host, unit):
        host.run(("systemctl", "reload", unit), timeout=SECONDS)


@dataclass(frozen=True, slots=True)
class PutServiceFile(BaseAction):
    """Write a file of ours that a service of others reads, and have the service read it if it runs."""

    kind: ClassVar[str] = "put-service-file"

    unit: str
    path: str
    content: str

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"write {self.path} and have {self.unit} read it"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        left = sha256(self.content.encode())
        return RestoreServiceFile(self.unit, self.path, left, before_image(probe, self.path))

    def execute(self, host: Host) -> Outcome:
        PutFile(self.path, self.content).execute(host)
        _reload(host, self.unit)
        return DONE

    def recover(self, host: Host) -> None:
        """The file may be in place and not read yet, and nothing would show that later."""
        clear_half_written(host, self.path)
        _reload(host, self.unit)


@dataclass(frozen=True, slots=True)
class RestoreServiceFile(RestoreFileOf):
    """Put back what lay there before, and have the service read that if it runs."""

    kind: ClassVar[str] = "restore-service-file"

    def describe(self) -> str:
        return f"{RestoreFileOf.describe(self)} and have {self.unit} read it"

    def take_up(self, host: Host) -> None:
        _reload(host, self.unit)


ACTIONS: tuple[type[BaseAction], ...] = (PutServiceFile, RestoreServiceFile)
