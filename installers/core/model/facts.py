"""Facts: what is. A fact is a hashable question that knows how to read its own answer."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from installers.core.model.host import Probe

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The answer could not be read. Never the same as "absent"."""

    reason: str


class Fact(Hashable, Protocol[T_co]):
    """A frozen question. ``load`` reads through the probe; parsing is a pure function beside it.

    A class variable ``costly = True`` says that reading takes long and is put off until a decision
    asks for it.
    """

    def load(self, probe: Probe) -> T_co | Unknown: ...


class FactUnknown(Exception):
    """Raised when a decision asks for a fact that is Unknown; the engine turns it into Blocked."""

    def __init__(self, fact: Fact[object], reason: str) -> None:
        super().__init__(f"{fact}: {reason}")
        self.fact = fact
        self.reason = reason


class Facts(Protocol):
    """What a decision sees: answers, with the predictions of earlier changes laid over them."""

    def __getitem__(self, fact: Fact[T]) -> T:
        """The fact's value; raises ``FactUnknown``."""

    def __contains__(self, fact: Fact[object]) -> bool:
        """Whether the fact is known."""


@dataclass(frozen=True, slots=True)
class Owed:
    """Which changes a resource has yet to act on (restart, reload): answered by the journal.

    Value: the keys of the changed resources, empty when nothing is owed.
    """

    key: str

    def load(self, probe: Probe) -> frozenset[str] | Unknown:
        return frozenset()


@dataclass(frozen=True, slots=True)
class Claimed:
    """Whether a resource's footprint and its baseline already stand in the journal."""

    key: str

    def load(self, probe: Probe) -> bool | Unknown:
        return False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the journal says this installation put at a key: the latest value not undone.

    Answers questions only the past can (the objects we applied, the packages we installed).
    Value: the descriptions of the live actions under that key, oldest first.
    """

    key: str

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        return ()
