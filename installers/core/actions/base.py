"""What every action starts from: the defaults most of them keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from installers.core.model import Action, Host, Irreversible, Outcome, Probe


class BaseAction(ABC):
    """An action that shares no lane, lies in no container and leaves nothing half-done.

    A subclass is a frozen slots dataclass of JSON-able fields. ``kind`` and ``version`` name its
    stored form for ever: a new meaning of a field is a new version or a new kind.
    """

    __slots__ = ()

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    lane: ClassVar[str] = ""
    patience: ClassVar[float] = 0.0

    @property
    @abstractmethod
    def target(self) -> str: ...

    @property
    def inside(self) -> str:
        return ""

    @property
    def removes(self) -> str:
        return ""

    @abstractmethod
    def describe(self) -> str: ...

    @abstractmethod
    def inverse(self, probe: Probe) -> Action | Irreversible: ...

    def past(self, older: Action) -> Action | None:
        """None: the two are taken one after the other."""
        return None

    @abstractmethod
    def execute(self, host: Host) -> Outcome: ...

    def recover(self, host: Host) -> None:
        """Nothing: one step, or steps that may simply be taken again."""
        return
