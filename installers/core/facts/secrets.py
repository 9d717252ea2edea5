"""Generated secrets: whether they are there. Their values are never facts."""

from __future__ import annotations

from dataclasses import dataclass

from installers.core.host.secrets import secret_path
from installers.core.model import Probe, Unknown
from installers.site import Paths


@dataclass(frozen=True, slots=True)
class SecretPresent:
    """Whether a secret of that name is in the host's store; an empty file is none."""

    name: str

    def load(self, probe: Probe) -> bool | Unknown:
        stat = probe.stat(secret_path(Paths.from_environment(), self.name))
        return stat is not None and stat.size > 0


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """sha256 of a secret's value in hex, "" while there is none. Only for long random values."""

    name: str

    def load(self, probe: Probe) -> str | Unknown:
        path = secret_path(Paths.from_environment(), self.name)
        return probe.digest(path) if probe.stat(path) is not None else ""
