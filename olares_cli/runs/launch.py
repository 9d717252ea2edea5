"""One run from the person's side: start it, show it, stop it on Ctrl-C, tell how it ended."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from olares_cli.runs.follow import Follower, alive
from olares_cli.runs.perform import RunFile, perform
from olares_cli.runs.records import Result
from olares_cli.runs.request import Request, handed_on
from olares_cli.runs.unit import own_unit, start
from olares_cli.session import Code, Session
from olares_cli.ui.outcome import show_result
from olares_cli.ui.view import view_for

LEAVING = 30.0
"""Seconds an uninstall may take to remove this program's own files."""

ENDS = {"done": Code.FINE, "left": Code.PENDING, "interrupted": Code.INTERRUPTED}


def new_id() -> str:
    """A run's id: sorts by time, differs from every other."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def carry_out(session: Session, request: Request) -> int:
    """Carry a request out, in its own unit where there is systemd; returns the exit code."""
    id = new_id()
    log = f"{session.paths.logs}/run-{id}.jsonl"
    request = replace(request, log=log, environment=handed_on(session.environ))
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    if not own_unit():
        return _here(session, request)
    if request.verb == "uninstall":
        load_pages(session)
    RunFile(log).close()
    with Path(log).open("rb", buffering=0) as file:
        start(request, id, directory=session.paths.run)
        follower = Follower(file, log)
        code = follow(session, follower)
        if request.verb == "uninstall":
            _wait_for_end(follower)
        return code


def _wait_for_end(follower: Follower) -> None:
    """Return only when the run's process is gone: it removes the program after it has told its result."""
    deadline = time.monotonic() + LEAVING
    while follower.process is not None and alive(follower.process) and time.monotonic() < deadline:
        time.sleep(0.05)


def load_pages(session: Session) -> None:
    """Load what telling the end takes while it is still there: an uninstall removes this program last."""
    import sys

    import msgspec.json  # noqa: F401

    # A byte-code file written late would bring the program's directory back.
    sys.dont_write_bytecode = True
    if session.draws(session.err):
        import rich.table
        import rich.text  # noqa: F401


def _here(session: Session, request: Request) -> int:
    with view_for(session) as view:
        result = perform(session, request, show=view.show)
    return finish(session, result)


def follow(session: Session, follower: Follower) -> int:
    """Show a run until its end. The first Ctrl-C stops the run, a second one only stops watching it."""
    result = None
    with view_for(session) as view, _interrupts() as pressed:
        answered = 0
        for record in follower.records():
            if record is None:
                view.tick()
            else:
                view.show(record)
            if isinstance(record, Result):
                result = record
            elif len(pressed) > answered:
                answered += 1
                if answered > 1 or not follower.interrupt():
                    break
                session.say("Stopping after what runs now; Ctrl-C again stops watching.")
    if result is None:
        session.say("Not watching any more; `olares-cli attach` watches on.")
        return Code.INTERRUPTED
    return finish(session, result)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Each Ctrl-C as an entry of the list: none may tear a record apart."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def finish(session: Session, result: Result) -> int:
    """Tell how a run ended; its exit code."""
    show_result(session, result)
    if result.status == "failed":
        from olares_cli.app import exit_code

        return exit_code(result.failure.id) if result.failure else Code.FAILED
    return ENDS.get(result.status, Code.FAILED)
