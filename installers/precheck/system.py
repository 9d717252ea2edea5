"""Whether this is a machine an install can work on: privileges, systemd, distribution, processor, clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from installers.core.facts.conditions import ClockState
from installers.core.facts.platform import Architecture, IsRoot, MacosVersion, OsRelease, SystemdRunning
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, Passed, Severity, Verdict


@dataclass(frozen=True, slots=True)
class OperatingSystem(BaseCheck):
    """This is Linux. On macOS it is the one check that is made: all others ask about Linux."""

    id: ClassVar[str] = "operating-system"
    title: ClassVar[str] = "Operating system"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (MacosVersion(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[MacosVersion()]
        if found is None:
            return Passed("it is not macOS", concerns=False)
        return Failed("OLR-PRE-080", {"version": found or "(unknown)"})


@dataclass(frozen=True, slots=True)
class RootPrivileges(BaseCheck):
    """We act as root."""

    id: ClassVar[str] = "root"
    title: ClassVar[str] = "Root privileges"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (IsRoot(),)

    def judge(self, facts: Facts) -> Verdict:
        return Passed("we are root") if facts[IsRoot()] else Failed("OLR-PRE-001", {})


@dataclass(frozen=True, slots=True)
class Systemd(BaseCheck):
    """systemd is process 1 and keeps services."""

    id: ClassVar[str] = "systemd"
    title: ClassVar[str] = "systemd"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (SystemdRunning(),)

    def judge(self, facts: Facts) -> Verdict:
        return Passed("it is process 1") if facts[SystemdRunning()] else Failed("OLR-PRE-002", {})


SEEN = ("12", "13")
"""Debian's releases on which an install from its packages was seen to work."""


@dataclass(frozen=True, slots=True)
class Distribution(BaseCheck):
    """The distribution is one the source of the bits can be used on."""

    edition: str

    id: ClassVar[str] = "distribution"
    title: ClassVar[str] = "Distribution"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (OsRelease(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[OsRelease()]
        name = f"{found.name or found.id} {found.version}".strip()
        if self.edition == "debian" and (found.id != "debian" or found.version not in SEEN):
            return Failed("OLR-PRE-003", {"name": name})
        return Passed(name)


@dataclass(frozen=True, slots=True)
class Processor(BaseCheck):
    """The processor's architecture."""

    id: ClassVar[str] = "architecture"
    title: ClassVar[str] = "Processor architecture"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Architecture(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[Architecture()]
        if found == "arm64":
            return Failed("OLR-PRE-005", {}, severity="warning")
        return Passed(found) if found == "amd64" else Failed("OLR-PRE-004", {"found": found})


SANE = datetime(2026, 1, 1, tzinfo=UTC)
"""This program is younger than this; a clock that says less is wrong."""


@dataclass(frozen=True, slots=True)
class ClockRight(BaseCheck):
    """The clock is kept right: certificates and package signatures are dated."""

    id: ClassVar[str] = "clock"
    title: ClassVar[str] = "Clock"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ClockState(),)

    def judge(self, facts: Facts) -> Verdict:
        clock = facts[ClockState()]
        now = f"{datetime.fromtimestamp(clock.now, UTC):%Y-%m-%d %H:%M} UTC"
        if clock.now < SANE.timestamp():
            return Failed("OLR-PRE-006", {"now": now, "reason": "which is before this program was made"})
        if not clock.keeper:
            return Failed("OLR-PRE-006", {"now": now, "reason": "and no program keeps it right"})
        if clock.synchronised is False:
            reason = f"and {clock.keeper} has not set it since the machine started"
            return Failed("OLR-PRE-006", {"now": now, "reason": reason})
        return Passed(f"{now}, kept by {clock.keeper}")
