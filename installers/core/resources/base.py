"""What every resource starts from, and the wording they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from installers.core.model import Decision, Fact, Facts, Resource


class BaseResource(ABC):
    """A resource that listens to nothing. A subclass is a frozen slots dataclass."""

    __slots__ = ()

    @property
    @abstractmethod
    def key(self) -> str: ...

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    @abstractmethod
    def needs(self) -> tuple[Fact[Any], ...]: ...

    @abstractmethod
    def decide(self, facts: Facts) -> Decision: ...


class Wrapper(BaseResource):
    """A resource around another one, which it stands for: it has its key and listens to the same."""

    __slots__ = ()

    resource: Resource

    @property
    def key(self) -> str:
        return self.resource.key

    @property
    def listens(self) -> tuple[str, ...]:
        return self.resource.listens


Predictions = Mapping[Fact[Any], Any]
