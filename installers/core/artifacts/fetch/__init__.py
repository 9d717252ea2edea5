"""Fetching over HTTP(S): from several mirrors at once, resumed after kill -9, believed by the digest only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from installers.core.artifacts.fetch.compare import Compare, Displaced, liars
from installers.core.artifacts.fetch.crew import Crew
from installers.core.artifacts.fetch.line import BROKEN, HttpLine, Line
from installers.core.artifacts.fetch.mirrors import Fault, Mirror
from installers.core.artifacts.fetch.part import Part, this_boot
from installers.core.artifacts.fetch.proxy import through
from installers.core.artifacts.fetch.wanted import Limits, Wanted
from installers.core.artifacts.report import Report
from installers.core.errors import Failure

__all__ = ["BROKEN", "Fetched", "HttpLine", "Limits", "Wanted", "fetch"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """How it went: bytes received, bytes that were there from before, and what was wrong with which mirror.

    ``unheard``: addresses that were asked and never answered; better asked last for what is fetched next.
    """

    received: int
    resumed: int
    warnings: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()


def fetch(
    urls: tuple[str, ...],
    wanted: Wanted,
    *,
    to: Path,
    report: Report,
    limits: Limits | None = None,
    lines: Callable[[], Line] | None = None,
    boot: str | None = None,
) -> Fetched:
    """Fetch a file to ``to`` from several places at once; whole and right or not at all.

    Beside it stand ``.part``, ``.written`` and ``.state`` while it is under way, and after a failure
    or an interrupt: the next call goes on there. A place that gives something else is dropped and named
    in ``warnings`` and to ``report``. Raises ``Failure``: OLR-ART-002 (no room), 004 (out of places),
    005 (another file), 006 (a web page), 030 (the disk), or one of OLR-PROXY when
    it is the proxy.
    """
    limits = limits or Limits()
    mirrors = [Mirror(number, url, limits) for number, url in enumerate(dict.fromkeys(urls))]
    connect = limits.connect_beside if len(mirrors) > 1 else limits.connect
    lines = lines or partial(HttpLine, patience=limits.stall, connect=connect)
    with closing(Part(to, wanted, boot=this_boot() if boot is None else boot)) as part:
        return _Job(part, mirrors, limits, lines, report).run()


@dataclass(slots=True)
class _Job:
    part: Part
    mirrors: list[Mirror]
    limits: Limits
    lines: Callable[[], Line]
    report: Report
    received: int = 0
    displaced: list[Displaced] = field(default_factory=list)

    def run(self) -> Fetched:
        part, size = self.part, self.part.wanted.size
        crew = Crew(part, self.mirrors, part.spans.missing(size), self.lines, self.limits, self.report)
        crew.run()
        self.received += crew.received
        if part.spans.missing(size):
            raise self._failure()
        if not part.right() and not self._traced():
            part.discard()
            raise self._failure()
        warnings = self._warnings()
        part.finish()
        for text in warnings:
            self.report(0, 0, "bytes", text)
        self.report(size, size, "bytes", part.wanted.name)
        unheard = tuple(mirror.url for mirror in self.mirrors if mirror.unheard)
        return Fetched(self.received, part.resumed, warnings, unheard)

    def _traced(self) -> bool:
        """Whether one of the mirrors has the right file after all; the others are dropped on the way."""
        part, size = self.part, self.part.wanted.size
        while mirror := self._most():
            if mirror.version:
                # It has shown several versions: what it says now has to be all from now.
                mirror.version += 1
            todo = part.spans.without(mirror.voice, size)
            if todo:
                crew = Compare(part, [mirror], todo, self.lines, self.limits, self.report)
                crew.run()
                self.received += crew.received
                self.displaced += crew.displaced
            part.rewind()
            if part.right():
                return True
            if part.spans.without(mirror.voice, size):
                mirror.drop(Fault.FAILED, "its file changes while it is fetched")
            mirror.drop(Fault.LIED, "has another file", found=part.found)
        return False

    def _most(self) -> Mirror | None:
        """Of the mirrors not dropped, the one that gave the most: it has the least to say again."""

        def lacking(mirror: Mirror) -> int:
            return sum(end - start for start, end in self.part.spans.without(mirror.voice, self.part.wanted.size))

        return min((mirror for mirror in self.mirrors if mirror.dropped is None), key=lacking, default=None)

    def _warnings(self) -> tuple[str, ...]:
        wrong = liars(self.displaced, self.part)
        name = self.part.wanted.name
        told = []
        for mirror in self.mirrors:
            if mirror.dropped:
                told.append(f"{name}: {mirror.name} was dropped: it {mirror.dropped.reason}")
            elif mirror.number in wrong:
                told.append(f"{name}: {mirror.name} gave wrong bytes; its part was fetched from another place")
        return tuple(told)

    def _failure(self) -> Failure:
        wanted, dropped = self.part.wanted, [(m, m.dropped) for m in self.mirrors if m.dropped]
        causes = [row.failure for _, row in dropped if row.failure]
        if causes and len(causes) == len(dropped):
            return causes[0]
        places = ", ".join(f"{mirror.name}{through(mirror.url)}" for mirror, _ in dropped)
        faults = {row.fault for _, row in dropped}
        if faults == {Fault.WEB_PAGE}:
            return Failure("OLR-ART-006", artifact=wanted.name, place=places)
        if faults == {Fault.LIED} and all(row.found for _, row in dropped):
            found = ", ".join(dict.fromkeys(row.found for _, row in dropped))
            return Failure("OLR-ART-005", artifact=wanted.name, place=places, found=found, expected=wanted.sha256)
        reasons = [f"{mirror.name}{through(mirror.url)} {row.reason}" for mirror, row in dropped]
        return Failure("OLR-ART-004", artifact=wanted.name, reason="; ".join(reasons) or "no place was named")
