"""What a run works with, handed to apply and undo as one value."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from installers.core.engine.journal import Journal
from installers.core.engine.plan import Codec
from installers.core.errors import Interrupted
from installers.core.host.scopes import Scope
from installers.core.model import Host, Probe
from installers.core.model.events import Emit, Progress

QUIET = 0.2
"""Seconds between two progress events of one action: enough for an eye, cheap for a log."""


@dataclass(slots=True)
class Children:
    """Journals the processes of one action and passes on its progress. ``stop``: what may cut it short."""

    journal: Journal
    seq: int
    key: str
    emit: Emit
    run: int = 0
    stop: threading.Event | None = None
    _last: float = 0.0
    _count: int = 0

    def name(self) -> str:
        """A name for the next process; the time keeps two attempts at one action apart."""
        self._count += 1
        return f"olares-{self.run}-{self.seq}-{self._count}-{time.time_ns() // 1_000_000 % 1_000_000_000}"

    def opened(self, scope: Scope) -> None:
        self.journal.open_scope(self.seq, scope)

    def closed(self, scope: Scope) -> None:
        self.journal.close_scope(scope)

    def interrupted(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    def progress(self, done: int, total: int | None, unit: str, text: str = "") -> None:
        if self.interrupted():
            # Waits report here at every look, so this is where one ends early.
            raise Interrupted
        now = time.monotonic()
        if now - self._last >= QUIET or done == total:
            self._last = now
            self.emit(Progress(at=time.time(), key=self.key, done=done, total=total or 0, unit=unit, text=text))


@dataclass(frozen=True, slots=True)
class Context:
    """One run. ``host`` makes a Host whose processes and progress go to the given Children.

    ``stop`` is set when the user interrupts: nothing new is started, what runs is let finish or,
    where its host can, ended. ``workers`` 1 executes everything in the calling thread, in order.
    """

    journal: Journal
    probe: Probe
    host: Callable[[Children], Host]
    codec: Codec
    emit: Emit
    run: int
    stop: threading.Event = field(default_factory=threading.Event)
    workers: int = 6

    def host_for(self, seq: int, key: str) -> Host:
        """A host whose processes run to their end."""
        return self.host(Children(self.journal, seq, key, self.emit, self.run))

    def host_to_cut(self, seq: int, key: str) -> Host:
        """A host whose processes end when the run is to stop."""
        return self.host(Children(self.journal, seq, key, self.emit, self.run, self.stop))
