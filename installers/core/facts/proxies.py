"""What answers where a proxy should be."""

from __future__ import annotations

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
