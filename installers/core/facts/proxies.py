"""What answers where a proxy or a registry mirror should be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from installers.core.model import Output, Probe, Query, Unknown


@dataclass(frozen=True, slots=True)
class ProxySaid:
    """``status``: of its answer to a request for a name that does not exist; 0 without an answer, for ``reason``."""

    status: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProxyAnswer:
    """How a proxy answers; any answer shows that one is there, 407 that it wants a password."""

    host: str
    port: int
    costly: ClassVar[bool] = True

    def load(self, probe: Probe) -> ProxySaid | Unknown:
        return parse_knock(probe.query(Query("proxy-answer", (self.host, str(self.port)))))


def parse_knock(output: Output) -> ProxySaid | Unknown:
    """What ``core.host.knock`` printed."""
    said = output.stdout.strip()
    if output.code == 0 and said.isdigit():
        return ProxySaid(int(said))
    return ProxySaid(0, said) if said else Unknown("nothing was found out about the proxy")


@dataclass(frozen=True, slots=True)
class RegistrySaid:
    """``status`` 0: no answer, for ``error``. ``type``: of the content. ``challenge``: how it asks who asks."""

    status: int
    type: str = ""
    challenge: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """What a registry says at ``url``; ``ca``: a file with its certificate authority, "" for the system's."""

    url: str
    ca: str = ""
    costly: ClassVar[bool] = True

    def load(self, probe: Probe) -> RegistrySaid | Unknown:
        return parse_registry(probe.query(Query("registry-answer", (self.url, *filter(None, [self.ca])))))


def parse_registry(output: Output) -> RegistrySaid | Unknown:
    """What ``core.artifacts.fetch.registry`` printed."""
    if output.code:
        return Unknown("nothing was found out about the mirror")
    row = json.loads(output.stdout)
    return RegistrySaid(row.get("status", 0), row.get("type", ""), row.get("challenge", ""), row.get("error", ""))
