"""Shipping the program: the wheels go over once, then olares-cli itself runs on the other side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from installers.core.errors import Failure
from installers.core.model.events import TYPES, Emit, Event
from installers.core.remote import bootstrap
from installers.core.remote.client import Remote

INCOMING = "/opt/olares.incoming"
"""Where wheels land on the other host before they are installed; removed again at once."""

INTERRUPT = ("systemctl", "kill", "--kill-who=main", "--signal=SIGINT", "olares-run-*.service")
"""Asks the runs on a host to stop in good order: each is a unit of its own."""


def ship(remote: Remote, wheelhouse: str, *, on_bytes: Callable[[int], None] | None = None) -> None:
    """Install our wheels on the other host. Nothing is sent when it has exactly these already."""
    wheels = sorted(Path(wheelhouse).glob("*.whl"))
    if not wheels:
        raise Failure("OLR-NET-005", wheelhouse=wheelhouse)
    release = f"{bootstrap.PROGRAM}/{bootstrap.fingerprint(wheels)}"
    if remote.run(["test", "-x", f"{release}/bin/olares-cli"], timeout=30) == 0:
        return
    remote.run(["mkdir", "-p", INCOMING], timeout=30)
    files = [(str(wheel), f"{INCOMING}/{wheel.name}") for wheel in wheels]
    remote.upload([*files, (bootstrap.__file__, f"{INCOMING}/bootstrap.py")], on_bytes=on_bytes)
    talk: list[str] = []
    status = remote.run(
        ["python3", f"{INCOMING}/bootstrap.py", INCOMING], timeout=600, on_line=talk.append, on_talk=talk.append
    )
    remote.run(["rm", "-rf", INCOMING], timeout=60)
    if status:
        raise Failure("OLR-NET-006", tail=talk[-1] if talk else "it said nothing")


def relay(
    remote: Remote, argv: Sequence[str], *, host: str, emit: Emit, timeout: float, stop: threading.Event
) -> tuple[int, list[str]]:
    """Run a command of ours over there with ``--output jsonl`` and pass its events on as they come.

    When ``stop`` is set the run over there is asked to stop as Ctrl-C would, once, and followed to its end.
    Returns its exit status and the lines that were not events (its talk on stderr).
    """
    asked = False

    def look() -> None:
        nonlocal asked
        if stop.is_set() and not asked:
            asked = True
            remote.run(INTERRUPT, timeout=30)

    talk: list[str] = []

    def line(text: str) -> None:
        event = decode(text, host)
        if event is None:
            talk.append(text)
        else:
            emit(event)

    return remote.run(argv, timeout=timeout, on_line=line, on_talk=talk.append, on_wait=look), talk


def decode(text: str, host: str) -> Event | None:
    """One JSON line as an event of that host; None for anything else."""
    try:
        row = msgspec.json.decode(text)
        kind = TYPES[row.pop("type")]
        return msgspec.convert(row | {"host": host}, kind)
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        return None
