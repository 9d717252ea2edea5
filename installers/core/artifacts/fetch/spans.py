"""Which bytes of a file are there, and who gave them. Pure: no file, no clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Voice = tuple[int, int]
"""A mirror's number, and the how-manieth version of the file it has shown us."""

Range = tuple[int, int]
"""First byte, and the one after the last."""

NOBODY: frozenset[Voice] = frozenset()


class Spans:
    """Disjoint ranges in order, each with the voices that gave exactly these bytes; neighbours alike are one."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._rows: list[tuple[int, int, frozenset[Voice]]] = []
        for start, end in ranges:
            self.add(start, end, NOBODY)

    def __iter__(self) -> Iterator[tuple[int, int, frozenset[Voice]]]:
        return iter(self._rows)

    @property
    def total(self) -> int:
        return sum(end - start for start, end, _ in self._rows)

    def add(self, start: int, end: int, voices: frozenset[Voice]) -> None:
        """Take this range as given by ``voices``, whoever gave it before."""
        if start >= end:
            return
        self.remove(start, end)
        at = bisect_right(self._rows, start, key=lambda row: row[0])
        if at < len(self._rows) and self._rows[at][0] == end and self._rows[at][2] == voices:
            end = self._rows.pop(at)[1]
        if at and self._rows[at - 1][1] == start and self._rows[at - 1][2] == voices:
            at -= 1
            start = self._rows.pop(at)[0]
        self._rows.insert(at, (start, end, voices))

    def remove(self, start: int, end: int) -> None:
        """Forget a range, whether it was there or not."""
        if start >= end:
            return
        first = max(0, bisect_right(self._rows, start, key=lambda row: row[0]) - 1)
        kept, last = [], first
        while last < len(self._rows) and self._rows[last][0] < end:
            low, high, voices = self._rows[last]
            if low < min(start, high):
                kept.append((low, min(start, high), voices))
            if max(low, end) < high:
                kept.append((max(low, end), high, voices))
            last += 1
        self._rows[first:last] = kept

    def forget(self, mirror: int) -> list[Range]:
        """Forget what only this mirror gave; returns those ranges."""
        gone = [(start, end) for start, end, voices in self._rows if voices and {who for who, _ in voices} == {mirror}]
        for start, end in gone:
            self.remove(start, end)
        return gone

    def unsigned(self) -> None:
        """Voices no longer count: these bytes lie on disk, and nobody answers for them."""
        self._rows = [(start, end, NOBODY) for start, end in self.ranges()]

    def ranges(self) -> list[Range]:
        """What is there, whoever gave it; neighbours are one."""
        found: list[Range] = []
        for start, end, _ in self._rows:
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found

    def missing(self, size: int) -> list[Range]:
        """What is not there, of a file of ``size`` bytes."""
        return _gaps(self.ranges(), size)

    def without(self, voice: Voice, size: int) -> list[Range]:
        """What this voice has not given as it is now."""
        return _gaps([(start, end) for start, end, voices in self._rows if voice in voices], size)

    def frontier(self, position: int) -> int:
        """How far the bytes go on without a gap from ``position``."""
        for start, end in self.ranges():
            if start <= position < end:
                return end
        return position

    def voices(self, start: int, end: int) -> frozenset[Voice]:
        """Everybody who gave a byte of this range."""
        return frozenset(who for low, high, voices in self._rows if low < end and start < high for who in voices)


def _gaps(ranges: list[Range], size: int) -> list[Range]:
    gaps, position = [], 0
    for start, end in ranges:
        if position < start:
            gaps.append((position, start))
        position = max(position, end)
    if position < size:
        gaps.append((position, size))
    return gaps
