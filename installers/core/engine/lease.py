"""The lease: at most one run changes this machine. The kernel frees it when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from installers.core.errors import Failure
from installers.core.host.scopes import boot_id, start_time

WAIT = 2.0
"""Seconds to wait for a holder that is just leaving before the second run is refused."""


@contextmanager
def lease(lock: str, *, verb: str) -> Iterator[None]:
    """Hold the machine for one run; ``Failure("OLR-RUN-001")`` names the holder when it is taken.

    The lock is the flock; what the file says is only for the message.
    """
    path = Path(lock)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(descriptor, lock)
        os.ftruncate(descriptor, 0)
        os.pwrite(
            descriptor, f"{os.getpid()} {start_time(os.getpid())} {boot_id()} {verb} {int(time.time())}\n".encode(), 0
        )
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, lock: str) -> None:
    deadline = time.monotonic() + WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            pid, verb, since = holder(lock)
            raise Failure("OLR-RUN-001", pid=pid, verb=verb, since=since) from taken
        return


def holder(lock: str) -> tuple[str, str, str]:
    """Who holds the lease, as its file says: pid, verb, local time; question marks when it does not."""
    words = Path(lock).read_text().split() if Path(lock).exists() else []
    if len(words) != 5:
        return "?", "?", "?"
    return words[0], words[3], time.strftime("%H:%M:%S", time.localtime(int(words[4])))
