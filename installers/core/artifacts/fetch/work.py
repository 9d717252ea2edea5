"""Who fetches which bytes next. Pure: the caller holds the lock, tells the time and does the fetching."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from installers.core.artifacts.fetch.mirrors import Mirror
from installers.core.artifacts.fetch.spans import Range, Voice
from installers.core.artifacts.fetch.wanted import Limits

_CRUMB = 256 << 10
"""Bytes below which a stretch is not divided any more."""

_IDLE = 1.0
"""Seconds without a byte after which the rest of a stretch may go to a connection that has nothing to do."""


@dataclass(slots=True, eq=False)
class Stretch:
    """Bytes lent to one connection, ``holes`` in order: one, but for a mirror without ranges.

    Those before ``noted`` are in the part's spans, those before ``at`` on disk, those before ``claimed``
    on their way there: nobody else may have these.
    """

    mirror: Mirror
    voice: Voice
    holes: list[Range]
    began: float
    start: int = 0
    end: int = 0
    noted: int = 0
    at: int = 0
    claimed: int = 0
    last: float = 0.0
    taken: bool = False
    """Somebody else has all that was left of it: to be cut, and nobody's fault."""
    reason: str = ""
    """Why it was cut, when that was the mirror's fault."""
    place: str = ""
    """Where it was asked for: the mirror's address, or where that sent us before."""

    def __post_init__(self) -> None:
        self.start, self.end = self.holes[0][0], self.holes[-1][1]
        self.noted = self.at = self.claimed = self.start
        self.last = self.began

    @property
    def left(self) -> int:
        return self.end - self.claimed

    def within(self, start: int, end: int) -> list[Range]:
        """The bytes of this range that are to be fetched."""
        end = min(end, self.end)
        return [(max(low, start), min(high, end)) for low, high in self.holes if max(low, start) < min(high, end)]

    def rate(self, now: float) -> float:
        """Bytes a second so far, counting the time it has been silent."""
        return (self.at - self.start) / max(now - self.began, 1e-3)


@dataclass(slots=True)
class Work:
    """Ranges nobody has taken, and stretches under way. ``grid``: stretches begin and end at its multiples."""

    free: list[Range]
    mirrors: list[Mirror]
    limits: Limits
    grid: int = 1
    stretches: list[Stretch] = field(default_factory=list)
    cut: list[Stretch] = field(default_factory=list)
    """Stretches whose connection is to be cut by the caller."""

    @property
    def over(self) -> bool:
        """Whether all is there. A connection whose stretch another has taken over is not waited for: it may hang."""
        return not self.free and all(stretch.taken and stretch.at >= stretch.claimed for stretch in self.stretches)

    @property
    def stuck(self) -> bool:
        """Something is missing, nobody is at it, and there is nobody left to ask."""
        return bool(self.free) and not self.stretches and all(mirror.dropped for mirror in self.mirrors)

    def take(self, now: float) -> Stretch | None:
        """A stretch for a connection that has nothing to do; None when there is none just now."""
        mirror = self._choose(now)
        if mirror is None:
            return None
        if not mirror.ranged:
            return self._rest(mirror, now)
        found = self._next(mirror) or self._divide(mirror, now)
        return self._lend(mirror, [found], now) if found else None

    def _lend(self, mirror: Mirror, holes: list[Range], now: float) -> Stretch:
        stretch = Stretch(mirror, mirror.voice, holes, began=now)
        mirror.active += 1
        self.stretches.append(stretch)
        return stretch

    def _choose(self, now: float) -> Mirror | None:
        """The mirror with the fewest connections for its speed; one not measured yet counts as fast as the best."""
        left = [mirror for mirror in self.mirrors if mirror.dropped is None]
        # One without ranges gives the whole file or nothing: only when there is no other.
        ranged = [mirror for mirror in left if mirror.ranged]
        ready = [mirror for mirror in ranged or left if mirror.usable(now)]
        best = max((mirror.speed for mirror in ready), default=0.0) or 1.0

        def load(mirror: Mirror) -> tuple[float, float]:
            return mirror.active * best / (mirror.speed or best), -mirror.speed

        return min(ready, key=load, default=None)

    def _next(self, mirror: Mirror) -> Range | None:
        """The first free bytes: about a second's worth, less towards the end, so that all end together."""
        if not self.free:
            return None
        start, end = self.free[0]
        share = sum(high - low for low, high in self.free) // self.limits.connections
        size = int(min(self.limits.longest, max(self.limits.shortest, min(mirror.speed, share))))
        stop = min(end, self._up(start + size))
        self.free[0:1] = [(stop, end)] if stop < end else []
        return start, stop

    def _rest(self, mirror: Mirror, now: float) -> Stretch | None:
        """All that is missing, in one answer from its first byte on; what is there already is passed over."""
        if self.stretches or not self.free:
            return None
        holes, self.free = self.free, []
        return self._lend(mirror, holes, now)

    def _divide(self, mirror: Mirror, now: float) -> Range | None:
        """Nothing is free: take a part of what another connection would need the longest for."""
        open_ = [s for s in self.stretches if s.mirror.ranged and s.left and not s.taken]
        silent = [s for s in open_ if now - s.last > _IDLE]
        if silent:
            return self._all_of(min(silent, key=lambda s: s.last))
        wide = [s for s in open_ if s.left >= 2 * max(_CRUMB, self.grid) and now - s.began >= 2 * self.limits.tick]
        if not wide:
            return None
        stretch = max(wide, key=lambda s: s.left / max(s.rate(now), 1.0))
        rate = max(stretch.rate(now), 1.0)
        if stretch.left / rate < self.limits.long_rest:
            return None
        middle = self._up(stretch.claimed + max(_CRUMB, int(stretch.left * rate / (rate + (mirror.speed or rate)))))
        if middle >= stretch.end:
            return None
        found, stretch.end = (middle, stretch.end), middle
        return found

    def _all_of(self, stretch: Stretch) -> Range | None:
        """The rest of a connection that says nothing: all, or as much as the grid lets."""
        start, end = self._up(stretch.claimed), stretch.end
        if start >= end:
            return None
        stretch.end = start
        if start == stretch.claimed:
            stretch.taken = True
            self.cut.append(stretch)
        return start, end

    def back(self, stretch: Stretch, *, whole: frozenset[int] = frozenset()) -> Range | None:
        """A stretch is over, done or not: what is left of it is free again.

        ``whole``: numbers of pieces that must come from one mirror; bytes of one that is not finished
        do not count. Returns the range that does not, if there is one.
        """
        self.stretches.remove(stretch)
        stretch.mirror.active -= 1
        lost = None
        start = stretch.at
        if start < stretch.end and self._down(start) < start and start // self.grid in whole:
            lost = (max(self._down(start), stretch.start), start)
            start = lost[0]
        self.release(stretch.within(start, stretch.end))
        return lost

    def release(self, ranges: Iterable[Range]) -> None:
        """These bytes are to be fetched (again)."""
        merged: list[Range] = []
        for start, end in sorted((*self.free, *ranges)):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        self.free = merged

    def slow(self, now: float) -> list[Stretch]:
        """Stretches that crawl while another mirror is fast; each is noted and to be cut."""
        found = []
        for stretch in self.stretches:
            rate = stretch.rate(now)
            others = [m.speed for m in self.mirrors if m is not stretch.mirror and m.usable(now) and m.ranged]
            if now - stretch.began > self.limits.slow_after and rate < self.limits.slow_below * max(others, default=0):
                stretch.mirror.slow(rate)
                found.append(stretch)
        return found

    def _up(self, position: int) -> int:
        return -(-position // self.grid) * self.grid

    def _down(self, position: int) -> int:
        return position // self.grid * self.grid
