"""Who lied, when only the digest of the whole file is known and several gave parts of it.

One mirror at a time says everything the others said. A file that is all one mirror's proves that
mirror right or wrong; and once the right file is known, whoever had given other bytes is known too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from installers.core.artifacts.fetch.crew import Crew
from installers.core.artifacts.fetch.mirrors import Mirror
from installers.core.artifacts.fetch.part import Part
from installers.core.artifacts.fetch.spans import Range, Voice
from installers.core.artifacts.fetch.work import Stretch


@dataclass(frozen=True, slots=True)
class Displaced:
    """Bytes that another mirror's took the place of: who gave them, and their sha256."""

    voices: frozenset[Voice]
    start: int
    end: int
    digest: bytes


@dataclass(slots=True)
class Compare(Crew):
    """Fetches from one mirror what others gave: where bytes are equal both have given them, else the new ones stay."""

    hashes: bool = False
    displaced: list[Displaced] = field(default_factory=list)
    _differ: list[Range] = field(init=False, default_factory=list)

    def put(self, stretch: Stretch, chunk: bytes, offset: int) -> None:
        end = offset + len(chunk)
        with self._changed:
            rows = [row for row in self.part.spans if row[0] < end and offset < row[1]]
        for low, high, voices in rows:
            start, stop = max(low, offset), min(high, end)
            old, new = self.part.read(start, stop - start), chunk[start - offset : stop - offset]
            if old != new:
                self.part.write(new, start)
                with self._changed:
                    self.displaced.append(Displaced(voices, start, stop, hashlib.sha256(old).digest()))
                    self._differ.append((start, stop))

    def note(self, stretch: Stretch, start: int, end: int) -> None:
        spans, voice = self.part.spans, stretch.voice
        for low, high, voices in [row for row in spans if row[0] < end and start < row[1]]:
            spans.add(max(low, start), min(high, end), voices | {voice})
        for low, high in self._differ:
            if low < end and start < high:
                spans.add(max(low, start), min(high, end), frozenset({voice}))

    def disown(self, mirror: Mirror) -> None:
        """It is the only one asked; what it said is compared with, and kept until the next one says otherwise."""


def liars(displaced: list[Displaced], part: Part) -> set[int]:
    """The mirrors that gave other bytes than those of the part, which has proved right."""
    wrong = [row for row in displaced if part.digest(row.start, row.end) != row.digest]
    return {who for row in wrong for who, _ in row.voices}
