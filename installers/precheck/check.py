"""What a check is: facts in, verdict out; and what a person is told about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from installers.core.model import Fact, Facts

Severity = Literal["error", "warning", "info"]
Status = Literal["passed", "failed", "waived", "not-run"]

ENGINES = frozenset({"kubernetes", "k3s"})
"""The components that are the cluster itself: with one of them ours, so is what a cluster makes."""


@dataclass(frozen=True, slots=True)
class Passed:
    """It is as it should be; ``detail`` is what was seen. ``concerns``: as in ``CheckResult``."""

    detail: str
    concerns: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """It is not: an id of the catalogue with its fields. ``severity``: where it is less than the check's."""

    problem: str
    fields: Mapping[str, object]
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class NotRun:
    """It could not be found out, and why. Never the same as passed. ``concerns``: as in ``CheckResult``."""

    reason: str
    concerns: bool = True


Verdict = Passed | Failed | NotRun


class Check(Protocol):
    """A frozen question about a machine. ``id`` never changes: people waive a check by it.

    ``severity``: the most a failure can mean; an ``error`` forbids an install. ``patience``: seconds
    its facts may take. ``judge`` is pure; an unknown fact it asks for makes the check not-run.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity]
    patience: ClassVar[float]

    def needs(self) -> tuple[Fact[Any], ...]: ...
    def judge(self, facts: Facts) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class BaseCheck:
    """The common case: quick to find out, and an install is forbidden when it fails."""

    severity: ClassVar[Severity] = "error"
    patience: ClassVar[float] = 3.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check's answer for a person. ``advice``: what to type or do. ``problem``: the id to explain, or "".

    ``concerns``: False where the check is about computers of another kind than this one.
    """

    id: str
    title: str
    severity: Severity
    status: Status
    detail: str
    advice: str = ""
    problem: str = ""
    concerns: bool = True


def size(count: int) -> str:
    """Bytes for a person: ``512 MiB``, ``9.2 GiB``."""
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"
