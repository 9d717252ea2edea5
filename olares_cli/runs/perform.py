"""Carrying a run out in this process: events go to the run's file and, where there is one, to a view."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from installers.core.errors import Failure, Interrupted
from installers.core.host.scopes import boot_id, start_time
from installers.core.model.events import Emit
from installers.core.remote import bootstrap
from olares_cli import verbs
from olares_cli.here import options_for
from olares_cli.runs.records import Process, Record, Result, encode, result_of, trouble
from olares_cli.runs.request import Request
from olares_cli.session import Session

Show = Callable[[Record], None]
FLUSH = 1.0
"""Seconds a line may wait before it is on disk; the journal, not this file, is what resume relies on."""


class RunFile:
    """The run's file, open for appending; safe to use from the engine's threads."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        self._synced = time.monotonic()

    def add(self, record: Record) -> None:
        with self._guard, suppress(OSError):  # a full disk must not end the run: it only loses its echo
            os.write(self._descriptor, encode(record))
            if time.monotonic() - self._synced > FLUSH:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()

    def close(self) -> None:
        os.close(self._descriptor)

    def forget(self) -> None:
        """Remove the file, and its directory if that is empty now; who follows it can read on."""
        with suppress(OSError):
            Path(self.path).unlink()
            Path(self.path).parent.rmdir()


def perform(session: Session, request: Request, *, show: Show | None = None) -> Result:
    """Carry a request out and write down how it ended, whatever happens."""
    file = RunFile(request.log)
    guard = threading.Lock()

    def tell(record: Record) -> None:
        file.add(record)
        if show is not None:
            with guard:
                show(record)

    tell(Process(os.getpid(), start_time(os.getpid()), boot_id(), request.verb))
    try:
        with stoppable(session) as stop:
            result = _carry_out(session, request, emit=tell, stop=stop)
    except (KeyboardInterrupt, Interrupted):
        result = Result(request.verb, "interrupted")
    except Failure as failure:
        result = Result(request.verb, "failed", failure=trouble(failure))
    except Exception as error:
        unexpected = Failure("OLR-CLI-009", error=f"{type(error).__name__}: {error}", log="the system journal")
        tell(Result(request.verb, "failed", failure=trouble(unexpected)))
        raise
    tell(result)
    file.close()
    if request.verb == "uninstall" and not Path(session.paths.journal).exists():
        file.forget()
        bootstrap.remove()
    return result


def _carry_out(session: Session, request: Request, *, emit: Emit, stop: threading.Event) -> Result:
    install = verbs.load()
    options = options_for(session, request, stop=stop)
    match request.verb:
        case "install":
            done = install.install(options, emit=emit, saved_plan=request.saved_plan)
        case "resume":
            done = install.resume(options, emit=emit)
        case "undo":
            done = install.undo(options, emit=emit)
        case "uninstall":
            done = install.uninstall(options, emit=emit, everything=request.everything)
    return result_of(request.verb, done)


@contextmanager
def stoppable(session: Session) -> Iterator[threading.Event]:
    """An event set by Ctrl-C or by ``systemctl stop``: what runs is let finish. A second one ends it at once."""
    stop = threading.Event()

    def interrupted(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        session.say("Stopping after what runs now; Ctrl-C again stops at once.")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
