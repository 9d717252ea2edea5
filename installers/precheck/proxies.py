"""Whether the proxy that everything is to go through is one, and the mirrors that images are to come from."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.proxies import ProxyAnswer, RegistryAnswer, RegistrySaid
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, Passed, Severity, Verdict
from installers.site import Registry

FINE = frozenset({200, 401, 404})
"""Answers at the beginning of a registry's API; below a path of its own, 404 is all that some have to say."""


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


@dataclass(frozen=True, slots=True)
class MirrorsAnswer(BaseCheck):
    """The registry mirrors of olares.yaml are registries, and ask for no password. Only with one."""

    registries: tuple[Registry, ...]

    id: ClassVar[str] = "registry-mirrors"
    title: ClassVar[str] = "Registry mirrors"
    severity: ClassVar[Severity] = "warning"
    patience: ClassVar[float] = 15.0

    def _asked(self) -> Iterator[tuple[str, str, RegistryAnswer]]:
        for registry in self.registries:
            for mirror in registry.mirrors:
                url = mirror.rstrip("/")
                path = "/" if urllib.parse.urlsplit(url).path else "/v2/"
                yield registry.name, mirror, RegistryAnswer(f"{url}{path}", registry.ca)

    def needs(self) -> tuple[Fact[Any], ...]:
        return tuple(dict.fromkeys(fact for _, _, fact in self._asked()))

    def judge(self, facts: Facts) -> Verdict:
        for registry, mirror, fact in self._asked():
            said = facts[fact]
            if problem := _wrong(said):
                named = {"mirror": mirror, "registry": registry}
                reason = {"reason": said.error or f"it answered {said.status}"} if problem[-1] == "1" else {}
                return Failed(problem, named | reason)
        return Passed(", ".join(dict.fromkeys(mirror for _, mirror, _ in self._asked())))


def _wrong(said: RegistrySaid) -> str:
    if said.status == 401 and not said.challenge.lower().startswith("bearer"):
        return "OLR-REGISTRY-003"
    if said.status == 200 and said.type.lower().startswith("text/html"):
        return "OLR-REGISTRY-002"
    return "" if said.status in FINE else "OLR-REGISTRY-001"
