"""What services of others are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.services import PutServiceFile
from installers.core.facts.files import PathInfo, PathState, sha256
from installers.core.model import Blocked, Change, Decision, Fact, Facts, Satisfied
from installers.core.resources.base import BaseResource
from installers.core.resources.files import difference


@dataclass(frozen=True, slots=True)
class ServiceFile(BaseResource):
    """A drop-in of ours for a service of others, which reloads it: ``unit`` must know ``systemctl reload``."""

    unit: str
    path: str
    content: str

    @property
    def key(self) -> str:
        return f"file:{self.path}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PathInfo(self.path),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[PathInfo(self.path)]
        wanted = PathState("file", digest=sha256(self.content.encode()))
        if present == wanted:
            return Satisfied(f"{self.path} has the wanted content, mode and owner")
        if present is not None and present.type in ("directory", "other"):
            return Blocked("OLR-FILE-002", {"path": self.path, "wanted": "file", "present": present.type})
        action = PutServiceFile(self.unit, self.path, self.content)
        return Change((action,), difference(self.path, present, wanted), {PathInfo(self.path): wanted})
