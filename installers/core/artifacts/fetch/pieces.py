"""Digests of pieces of a file: which are proved, and which must come from one mirror alone. Pure."""

from __future__ import annotations

from installers.core.artifacts.fetch.spans import Range, Spans
from installers.core.artifacts.fetch.wanted import Wanted


class Pieces:
    """The pieces of a file; false when the index has none."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._open = set(range(len(wanted.pieces)))
        self._wrong: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._wanted.pieces)

    @property
    def whole(self) -> frozenset[int]:
        """Pieces that were wrong when several had given them: the next time one mirror gives all of it."""
        return frozenset(self._wrong)

    def range(self, piece: int) -> Range:
        start = piece * self._wanted.piece_size
        return start, min(start + self._wanted.piece_size, self._wanted.size)

    def complete(self, spans: Spans) -> int | None:
        """A piece that is all there and not proved yet."""
        for piece in sorted(self._open) if self._open else ():
            start, end = self.range(piece)
            if end <= spans.frontier(start):
                return piece
        return None

    def judged(self, piece: int, *, right: bool) -> bool:
        """Note a verdict, and give it back."""
        if right:
            self._open.discard(piece)
            self._wrong.discard(piece)
        else:
            self._wrong.add(piece)
        return right
