"""Actions: one mutation each, as plain frozen values that can be shown, stored and taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from installers.core.model.host import Host, Probe


@dataclass(frozen=True, slots=True)
class Irreversible:
    """Why an action has no inverse."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The action did what it says."""


@dataclass(frozen=True, slots=True)
class Left:
    """An undo left something in place, because it is no longer what we put there."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An undo kept something on purpose: user data and the secrets that open it."""

    what: str
    why: str


Outcome = Done | Left | Kept

DONE = Done()


@runtime_checkable
class Action(Protocol):
    """A mutation. ``kind`` and ``version`` name its stored form for ever.

    ``patience``: seconds a later run lets processes of a killed one finish by themselves before it
    ends them (dpkg and kubeadm must finish; most others need not).
    ``lane`` names work that excludes itself (dpkg, systemd, containerd) or is "".
    ``inside`` names a container (``cluster``, ``containerd``, ``machine:x``): an undo that removes
    the container does not undo what lies inside it one by one.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    lane: ClassVar[str]
    patience: ClassVar[float]

    @property
    def target(self) -> str:
        """What it changes: a path, unit, package set, object."""

    @property
    def inside(self) -> str: ...
    @property
    def removes(self) -> str:
        """The container this action takes away with everything in it, or ""."""

    def describe(self) -> str:
        """One line in the imperative, for plan, log and status."""

    def inverse(self, probe: Probe) -> Action | Irreversible:
        """The absolute way back, computed before ``execute`` and true even if that crashes half-way."""

    def past(self, older: Action) -> Action | None:
        """This way back led on past an older one on the same target, in one step; None: one after the other.

        A repair is taken back to the damage it repaired, an installation to what was there before it.
        """

    def execute(self, host: Host) -> Outcome: ...
    def recover(self, host: Host) -> None:
        """Clear what a killed ``execute`` left half-done; the action is decided anew afterwards."""
