"""The health of one mirror: how fast it is, when to ask it again, and why not. Pure: time is an argument."""

from __future__ import annotations

import random
import urllib.parse
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum

from installers.core.artifacts.fetch.spans import Voice
from installers.core.artifacts.fetch.wanted import Limits
from installers.core.errors import Failure

_NEWEST = 0.4
"""The weight of the newest measurement in a mirror's speed."""


class Fault(StrEnum):
    """Why a mirror was dropped, by what a person can do about it."""

    LIED = "lied"
    WEB_PAGE = "web page"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Dropped:
    """``found``: sha256 of the whole file it gave, where it gave all of it. ``failure``: why it was never reached."""

    fault: Fault
    reason: str
    found: str = ""
    failure: Failure | None = None


@dataclass(slots=True, eq=False)
class Mirror:
    """One place, for one file. ``speed`` is bytes a second of one connection, 0 while unknown."""

    number: int
    url: str
    limits: Limits = field(default_factory=Limits)
    speed: float = 0.0
    active: int = 0
    answered: bool = False
    allowed: int = 0
    failures: int = 0
    not_before: float = 0.0
    dropped: Dropped | None = None
    ranged: bool = True
    validator: str = ""
    version: int = 0
    location: str = ""
    last_reason: str = ""

    def __post_init__(self) -> None:
        self.allowed = self.allowed or self.limits.connections

    @property
    def voice(self) -> Voice:
        return self.number, self.version

    @property
    def name(self) -> str:
        return public(self.url)

    def usable(self, now: float) -> bool:
        """Whether it may be asked for one stretch more just now."""
        # One that was tried in vain and never answered may be dead: a single connection finds out.
        alone = not self.ranged or (self.failures > 0 and not self.answered)
        return self.dropped is None and self.not_before <= now and self.active < (1 if alone else self.allowed)

    @property
    def unheard(self) -> bool:
        """Whether it was asked and has never answered."""
        return not self.answered and (self.active > 0 or self.failures > 0)

    def gave(self, size: int, seconds: float) -> None:
        """A stretch came from it."""
        self.failures = 0
        if size and seconds > 0:
            rate = size / seconds
            self.speed = rate if not self.speed else self.speed + _NEWEST * (rate - self.speed)

    def failed(self, reason: str, *, now: float, after: float | None = None, failure: Failure | None = None) -> None:
        """It broke off or asked for patience: wait, with fewer connections, and in the end drop it."""
        self.failures += 1
        self.last_reason = reason
        pause = min(self.limits.longest_pause, self.limits.pause * 2 ** (self.failures - 1))
        pause *= random.uniform(0.7, 1.3)  # noqa: S311 - spreads retries, guards nothing
        if after is not None:
            pause = min(after, self.limits.retry_after)
        self.not_before = max(self.not_before, now + pause)
        if self.failures >= self.limits.attempts:
            self.drop(Fault.FAILED, reason, failure=failure)

    def fewer(self) -> None:
        """It refuses so many connections at once."""
        self.allowed = max(1, min(self.allowed, self.active) - 1)

    def slow(self, rate: float) -> None:
        """A connection was given up as too slow beside another mirror's: what it is sent from now on is less."""
        self.speed = rate if not self.speed else min(self.speed, rate)
        self.allowed = max(1, self.allowed // 2)

    def drop(self, fault: Fault, reason: str, *, found: str = "", failure: Failure | None = None) -> None:
        """Never ask it again; the first reason stays."""
        self.dropped = self.dropped or Dropped(fault, reason, found, failure)

    def showed(self, validator: str) -> bool:
        """Note an answer's ETag or date; whether the mirror now has another version than before."""
        changed = bool(validator and self.validator and validator != self.validator)
        self.version += changed
        self.validator = validator or self.validator
        return changed


def retry_after(header: str | None, *, now: float) -> float | None:
    """Seconds a Retry-After asks for, given as seconds or as an HTTP date (``now``: Unix time); None without one."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)


def public(url: str) -> str:
    """An address for messages: without the name and password it may carry, and without its query (signed links)."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
