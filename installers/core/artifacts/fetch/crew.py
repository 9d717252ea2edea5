"""The threads of one fetch: connections, one that hashes behind them, one that flushes, and who watches over all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from installers.core.artifacts.fetch.answers import Refusal, first_byte, question
from installers.core.artifacts.fetch.line import BROKEN, Answer, Line
from installers.core.artifacts.fetch.mirrors import Fault, Mirror
from installers.core.artifacts.fetch.part import Part
from installers.core.artifacts.fetch.pieces import Pieces
from installers.core.artifacts.fetch.proxy import ProxyFault
from installers.core.artifacts.fetch.spans import Range
from installers.core.artifacts.fetch.wanted import Limits
from installers.core.artifacts.fetch.work import Stretch, Work
from installers.core.artifacts.report import Report

_CHUNK = 64 << 10
_SAVE = 3 << 20
"""Bytes written between two records of what is there."""

_UNSAVED = 6 << 20
"""Bytes written and not recorded at which connections wait: with what they hold in memory, the most fetched twice."""

_FLUSH = 16 << 20
_PATIENCE = 2.0
"""Seconds that connections which were cut are waited for at the end."""

_HASH = 1 << 20

_ENOUGH = 64 << 10
"""Bytes of a stretch after which a connection may break off and the mirror is asked for the rest at once."""


@dataclass(slots=True)
class Crew:
    """Fetches ``todo`` from several mirrors at once into a part, and hashes it on the way."""

    part: Part
    mirrors: list[Mirror]
    todo: list[Range]
    lines: Callable[[], Line]
    limits: Limits
    report: Report
    received: int = 0
    hashes: bool = True
    work: Work = field(init=False)
    pieces: Pieces = field(init=False)
    _changed: threading.Condition = field(init=False, default_factory=threading.Condition)
    _at: dict[Stretch, Line] = field(init=False, default_factory=dict)
    _first: set[threading.Thread] = field(init=False, default_factory=set)
    _unsaved: int = field(init=False, default=0)
    _unflushed: int = field(init=False, default=0)
    _ended: bool = field(init=False, default=False)
    _hashed: bool = field(init=False, default=False)
    _rewound: bool = field(init=False, default=False)
    _error: BaseException | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        wanted = self.part.wanted
        self.pieces = Pieces(wanted)
        grid = wanted.piece_size if wanted.pieces else 1
        self.work = Work(list(self.todo), self.mirrors, self.limits, grid)

    def run(self) -> None:
        """Until all is there and hashed, or nobody is left to ask. Raises what a thread raised."""
        size = self.part.wanted.size
        # One for each mirror even of a small file: the first one asked may hang.
        count = max(1, min(self.limits.connections, max(-(-size // self.limits.shortest), len(self.mirrors))))
        jobs = [self._flush, *[self._hash] * self.hashes, *[self._connect] * count]
        crew = [threading.Thread(target=self._guarded, args=(job,), name="fetch", daemon=True) for job in jobs]
        for thread in crew:
            thread.start()
        try:
            while not self._over():
                self._watch()
        finally:
            self._stop(crew)
        # A flush may take its time, and must not write its record when the part is a file already.
        crew[0].join()
        if self._error:
            raise self._error

    def _over(self) -> bool:
        with self._changed:
            done = self.work.over and (self._hashed or not self.hashes)
            return done or self._error is not None or self.work.stuck

    def _watch(self) -> None:
        with self._changed:
            self._changed.wait(self.limits.tick)
            for stretch in self.work.slow(time.monotonic()):
                stretch.reason = "was too slow beside another"
                self.work.cut.append(stretch)
            while self.work.cut:
                line = self._at.get(self.work.cut.pop())
                if line:
                    line.cut()
            self._settle()
            unsaved, done = self._unsaved, self.part.spans.total
            row = self.part.row(self.part.spans.ranges()) if unsaved >= _SAVE else ""
        if row:
            self.part.save(row)
            with self._changed:
                self._unsaved -= unsaved
                self._changed.notify_all()
        self.report(done, self.part.wanted.size, "bytes", self.part.wanted.name)

    def _stop(self, crew: list[threading.Thread]) -> None:
        with self._changed:
            self._ended = True
            for line in self._at.values():
                line.cut()
            self._changed.notify_all()
        deadline = time.monotonic() + _PATIENCE
        for thread in crew:
            # What waits for a mirror's first answer may hang in a connect. It has nothing to write, and finds later
            # that all is over.
            while thread.is_alive() and thread not in self._first and time.monotonic() < deadline:
                thread.join(min(0.02, max(0.0, deadline - time.monotonic())))
        with self._changed:
            self._settle()
            self.part.save(self.part.row(self.part.spans.ranges()))

    def _guarded(self, job: Callable[[], None]) -> None:
        # No pool's futures: a pool waits at its end, and at the program's, for a thread that hangs in a read.
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that watches
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _connect(self) -> None:
        line = self.lines()
        try:
            while stretch := self._next(line):
                self._fetch(stretch, line)
        finally:
            line.close()

    def _next(self, line: Line) -> Stretch | None:
        with self._changed:
            while not (self._ended or self.work.stuck):
                stretch = self.work.take(time.monotonic())
                if stretch:
                    self._at[stretch] = line
                    return stretch
                self._changed.wait(self.limits.tick)
        return None

    def _fetch(self, stretch: Stretch, line: Line) -> None:
        refusal = None
        size = self.part.wanted.size
        asked = question(stretch, size)
        stretch.place = stretch.mirror.location or stretch.mirror.url
        try:
            answer = self._ask(line, stretch, asked)
            try:
                with self._changed:
                    offset = first_byte(answer, stretch, size=size, asked=asked, now=time.time())
                while stretch.at < stretch.end and not self._ended:
                    chunk = answer.read(_CHUNK)
                    if not chunk:
                        raise Refusal(f"ended after {stretch.at} of {size} bytes")
                    self._take(stretch, chunk, offset)
                    offset += len(chunk)
            finally:
                answer.close()
        except Refusal as said:
            refusal = said
        except ProxyFault as fault:
            refusal = Refusal(f"was not reached: {fault.what}", Fault.FAILED if fault.lasting else None, failure=fault)
        except BROKEN as error:
            refusal = Refusal(_said(error))
        with self._changed:
            self._done(stretch, refusal)

    def _ask(self, line: Line, stretch: Stretch, asked: dict[str, str]) -> Answer:
        try:
            if not stretch.mirror.answered:
                self._first.add(threading.current_thread())
            answer = line.get(stretch.place, asked)
            stretch.mirror.answered = True
            return answer
        finally:
            self._first.discard(threading.current_thread())

    def _take(self, stretch: Stretch, chunk: bytes, offset: int) -> None:
        """Bytes came: claimed, written, counted. What another has taken over meanwhile is dropped."""
        with self._changed:
            while self._unsaved > _UNSAVED and not self._ended:
                self._changed.wait(self.limits.tick)
            if self._ended:
                return
            self.received += len(chunk)
            end = min(offset + len(chunk), stretch.end)
            places = stretch.within(max(offset, stretch.claimed), end)
            stretch.claimed = max(stretch.claimed, end)
        for low, high in places:
            self.put(stretch, chunk[low - offset : high - offset], low)
        with self._changed:
            stretch.at = max(stretch.at, end)
            stretch.last = time.monotonic()
            self._unsaved += len(chunk)
            self._unflushed += len(chunk)
            if self._unsaved >= _SAVE:
                self._changed.notify_all()

    def put(self, stretch: Stretch, chunk: bytes, offset: int) -> None:
        """Bytes of a stretch in their place; called without the lock."""
        self.part.write(chunk, offset)

    def note(self, stretch: Stretch, start: int, end: int) -> None:
        """Bytes of a stretch are on disk; called with the lock."""
        self.part.spans.add(start, end, frozenset({stretch.voice}))

    def _settle(self) -> None:
        for stretch in self.work.stretches:
            self._note(stretch)

    def _note(self, stretch: Stretch) -> None:
        for low, high in stretch.within(stretch.noted, stretch.at):
            self.note(stretch, low, high)
        stretch.noted = max(stretch.noted, stretch.at)

    def _done(self, stretch: Stretch, refusal: Refusal | None) -> None:
        now, mirror, size = time.monotonic(), stretch.mirror, stretch.at - stretch.start
        self._at.pop(stretch, None)
        self._note(stretch)
        lost = self.work.back(stretch, whole=self.pieces.whole)
        if lost:
            self._forget([lost])
        if size or not refusal:
            mirror.gave(size, now - stretch.began)
        if refusal and not (refusal.again or stretch.taken or self._ended):
            self._blame(mirror, refusal, stretch, now)
        if mirror.dropped and mirror.dropped.fault is Fault.LIED:
            self.disown(mirror)
        self._changed.notify_all()

    def _blame(self, mirror: Mirror, refusal: Refusal, stretch: Stretch, now: float) -> None:
        if refusal.fault:
            mirror.drop(refusal.fault, refusal.reason, failure=refusal.failure)
            return
        if refusal.busy:
            mirror.fewer()
        if refusal.busy and mirror.active:
            # Others of its connections are served: it wants fewer at once, which is no failure.
            return
        if stretch.at - stretch.start >= _ENOUGH and not stretch.reason:
            return
        reason, failure = stretch.reason or refusal.reason, refusal.failure
        mirror.failed(reason, now=now, after=refusal.after, failure=failure)

    def disown(self, mirror: Mirror) -> None:
        """A mirror has shown that it has another file: what only it gave is fetched again; with the lock."""
        for stretch in self.work.stretches:
            if stretch.mirror is mirror and not stretch.taken:
                self.work.cut.append(stretch)
        if not self.pieces:
            gone = self.part.spans.forget(mirror.number)
            self._forget(gone)
            self.work.release(gone)

    def _forget(self, ranges: list[Range]) -> None:
        self._rewound |= self.part.forget(ranges)

    def _hash(self) -> None:
        """Follow the bytes that are there without a gap, and prove pieces."""
        while True:
            with self._changed:
                if self._ended:
                    return
                if self._rewound:
                    self.part.rewind()
                    self._rewound = False
                self._settle()
                end = self.part.spans.frontier(self.part.hashed)
                piece = self.pieces.complete(self.part.spans)
                over = self.work.over and piece is None
                if over and self.part.hashed == end:
                    self._hashed = True
                    self._changed.notify_all()
                    return
                if piece is None and end - self.part.hashed < _HASH and not over:
                    self._changed.wait(self.limits.tick / 2)
                    continue
                self.part.hashing = end
            self.part.hash_to(end, lambda: not (self._rewound or self._ended))
            if piece is not None:
                self._prove(piece)

    def _prove(self, piece: int) -> None:
        start, end = self.pieces.range(piece)
        right = self.part.digest(start, end).hex() == self.part.wanted.pieces[piece]
        with self._changed:
            voices = {who for who, _ in self.part.spans.voices(start, end)}
            if self.pieces.judged(piece, right=right):
                return
            if len(voices) == 1:
                liar = next(mirror for mirror in self.mirrors if mirror.number in voices)
                liar.drop(Fault.LIED, f"gave wrong bytes from {start} on")
                self.disown(liar)
            self._forget([(start, end)])
            self.work.release([(start, end)])
            self._changed.notify_all()

    def _flush(self) -> None:
        """Bring bytes to disk all along, so that little is left to do at the end."""
        while True:
            with self._changed:
                while self._unflushed < _FLUSH and not self._ended:
                    self._changed.wait(5 * self.limits.tick)
                if self._ended:
                    return
                self._settle()
                ranges, epoch, self._unflushed = self.part.spans.ranges(), self.part.epoch, 0
            self.part.flush()
            with self._changed:
                if self._ended:
                    return
                if self.part.epoch != epoch:
                    # Some were fetched again meanwhile, and those bytes may not have been there for the flush.
                    continue
                self.part.synced = ranges
            self.part.save_synced(self.part.row(ranges))


def _said(error: BaseException) -> str:
    return "said nothing for too long" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
