"""What every resource starts from, and the wording they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from installers.core.model import Decision, Fact, Facts


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


Predictions = Mapping[Fact[Any], Any]
