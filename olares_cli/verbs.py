"""What the command line asks of ``installers.install``: its shape, and the one place that loads it.

The verbs are heavy to import and the command line must be quick to answer, so nothing imports them
at the top. mypy holds the module against the protocol in ``load``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from installers.core.errors import Failure
from installers.core.model import Decision, Kept, Left, Probe, Step
from installers.core.model.events import Emit
from installers.phases import Phase
from installers.site import Site

if TYPE_CHECKING:
    from installers.core.artifacts.report import Report

Everything = Literal["keep-data", "all"]


class Planned(Protocol):
    @property
    def step(self) -> Step: ...
    @property
    def decision(self) -> Decision: ...


class Substitute(Protocol):
    """``name`` runs in place of ``stands_for`` and lacks these abilities."""

    @property
    def name(self) -> str: ...
    @property
    def stands_for(self) -> str: ...
    @property
    def lacks(self) -> tuple[str, ...]: ...


class LeftOut(Protocol):
    """A component the installation goes without."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def why(self) -> str: ...


class Plan(Protocol):
    @property
    def site(self) -> Site:
        """With every choice made."""

    @property
    def left_out(self) -> Sequence[LeftOut]: ...
    @property
    def items(self) -> Sequence[Planned]: ...
    @property
    def substitutes(self) -> Sequence[Substitute]: ...
    @property
    def images(self) -> Sequence[str]:
        """References of all that a registry serves."""

    def changes(self) -> Sequence[Planned]: ...
    def blocked(self) -> Sequence[Planned]: ...
    def deferred(self) -> Sequence[Planned]: ...
    def to_json(self) -> dict[str, Any]: ...


class CheckResult(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def severity(self) -> str:
        """error, warning or info."""

    @property
    def status(self) -> str:
        """passed, failed, waived or not-run."""

    @property
    def detail(self) -> str: ...
    @property
    def advice(self) -> str: ...
    @property
    def concerns(self) -> bool:
        """False where the check is about computers of another kind."""
        ...


class RunResult(Protocol):
    @property
    def status(self) -> str:
        """done, failed, interrupted or left."""

    @property
    def changes(self) -> int: ...
    @property
    def failure(self) -> Failure | None: ...
    @property
    def left(self) -> tuple[Left, ...]: ...
    @property
    def kept(self) -> tuple[Kept, ...]: ...


class ComponentStatus(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def state(self) -> str:
        """running, degraded, stopped, absent or skipped."""

    @property
    def since(self) -> float | None:
        """Seconds since the epoch at which the state began, where that is known."""

    @property
    def substitute(self) -> Substitute | None: ...
    @property
    def detail(self) -> str: ...
    @property
    def images(self) -> Sequence[str]: ...


class Status(Protocol):
    @property
    def components(self) -> Sequence[ComponentStatus]: ...
    @property
    def unfinished(self) -> bool:
        """Whether a run was cut off and can be resumed."""


class Verbs(Protocol):
    """The module ``installers.install``. ``Options`` is opaque here: made by it, handed back to it."""

    def Options(
        self,
        site: Site,
        phases: tuple[str, ...] = (),
        skip_phases: tuple[str, ...] = (),
        stop: threading.Event = ...,
        request: str = "",
        trust: str = "",
        report: Report = ...,
    ) -> Any: ...
    def plan(self, options: Any, probe: Probe) -> Plan: ...
    def precheck(self, options: Any, probe: Probe) -> Sequence[CheckResult]: ...
    def status(self, options: Any) -> Status: ...
    def install(self, options: Any, *, emit: Emit, saved_plan: dict[str, Any] | None = None) -> RunResult: ...
    def resume(self, options: Any, *, emit: Emit) -> RunResult: ...
    def cut_off(self, options: Any) -> str | None: ...
    def undo(self, options: Any, *, emit: Emit) -> RunResult: ...
    def uninstall(self, options: Any, *, emit: Emit, everything: Everything) -> RunResult: ...


def load() -> Verbs:
    from installers import install

    return install


def names(phases: Sequence[Phase]) -> Mapping[str, tuple[str, ...]]:
    """Everything that can be skipped, by name: a component, or a phase and the components it stands for."""
    found = {phase.name: tuple(map(short, phase.components)) for phase in phases}
    return found | {name: (name,) for components in list(found.values()) for name in components}


def short(component: str) -> str:
    """A component's name from its folder: ``platform/nats`` is nats."""
    return component.rpartition("/")[2]
