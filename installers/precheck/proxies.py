"""Whether the proxy that everything is to go through is one."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.proxies import ProxyAnswer
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, Passed, Verdict


@dataclass(frozen=True, slots=True)
class ProxyAnswers(BaseCheck):
    """The proxies of olares.yaml, or those kept of an environment, answer and ask for no password. Only with one."""

    urls: tuple[str, ...]

    id: ClassVar[str] = "proxy"
    title: ClassVar[str] = "Proxy"
    patience: ClassVar[float] = 12.0

    def _asked(self) -> tuple[tuple[str, ProxyAnswer], ...]:
        parts = ((url, urllib.parse.urlsplit(url)) for url in self.urls)
        return tuple((url, ProxyAnswer(part.hostname or "", part.port or 80)) for url, part in parts)

    def needs(self) -> tuple[Fact[Any], ...]:
        return tuple(fact for _, fact in self._asked())

    def judge(self, facts: Facts) -> Verdict:
        for url, fact in self._asked():
            said = facts[fact]
            if not said.status:
                return Failed("OLR-PROXY-001", {"proxy": url, "reason": said.reason})
            if said.status == 407:
                return Failed("OLR-PROXY-002", {"proxy": url})
        return Passed(", ".join(self.urls))
