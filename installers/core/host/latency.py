"""How long a disk takes to make a small write durable: what etcd waits for at every change.

The one place that writes to find something out, so no probe does it: somebody has to ask for it.
What is written is bounded in time and bytes and removed at the end; what a killed measurement left
is removed by the next.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from installers.core.errors import Failure
from installers.core.host import files

BLOCK = 2300
"""Bytes of one write, about an entry of etcd's log. This and ``LARGEST``: etcd's own advice on measuring by fio."""
LARGEST = 22 << 20
"""Bytes written at most, over all."""
SECONDS = 2.0
"""How long writes go on, when they do not come to ``LARGEST`` first."""
DEADLINE = 20.0
"""Seconds after which a disk that has not answered is not waited for any longer."""
PREFIX = ".olares-trial-"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds from a write to its being durable, over ``count`` writes: the median, the 99th percentile, the worst."""

    count: int
    median: float
    p99: float
    worst: float


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summed_up(times: Sequence[float]) -> Latencies:
    """One write at least."""
    return Latencies(len(times), percentile(times, 0.5), percentile(times, 0.99), max(times))


def timed(write: Callable[[], object], *, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Seconds each write takes, one after another until time or bytes are used up; one is made at least."""
    times: list[float] = []
    began = now = clock()
    while not times or (now - began < SECONDS and len(times) < LARGEST // BLOCK):
        before = clock()
        write()
        now = clock()
        times.append(now - before)
    return times


def sweep(directory: str) -> None:
    """Remove what killed measurements left; one that goes on holds its file's lock."""
    for path in Path(directory).glob(f"{PREFIX}*"):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


@contextmanager
def trial_file(directory: str) -> Iterator[int]:
    """A file to write into, its room taken beforehand as etcd does; gone at the end.

    It keeps its name until then: a file without one is not made durable by every file system.
    """
    sweep(directory)
    descriptor, name = tempfile.mkstemp(prefix=PREFIX, dir=directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            os.posix_fallocate(descriptor, 0, LARGEST)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
        os.fsync(descriptor)
        yield descriptor
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(descriptor)


def measure(directory: str, *, deadline: float = DEADLINE) -> Latencies:
    """Measure the disk below an existing directory.

    ``Failure`` OLR-DISK-001 when it cannot be written to (read-only, full, broken), 002 when it does not answer.
    """
    answer: Future[list[float]] = Future()

    def work() -> None:
        block = bytes(BLOCK)
        try:
            with trial_file(directory) as descriptor:

                def write() -> None:
                    os.write(descriptor, block)
                    os.fdatasync(descriptor)

                answer.set_result(timed(write))
        except OSError as error:
            answer.set_exception(error)
        except BaseException as mistake:
            answer.set_exception(mistake)
            raise

    # Nobody can be called back from a disk that hangs; the program must not wait for it at its end either.
    threading.Thread(target=work, name="disk latency", daemon=True).start()
    try:
        return summed_up(answer.result(timeout=deadline))
    except TimeoutError:
        raise Failure("OLR-DISK-002", directory=directory, seconds=f"{deadline:g}") from None
    except OSError as error:
        raise Failure("OLR-DISK-001", directory=directory, reason=error.strerror or str(error)) from error


def measure_and_note(directory: str, note: str) -> Latencies:
    """Measure, and write the result to ``note`` for facts to read, with the device it is about."""
    found = measure(directory)
    row = {"device": Path(directory).stat().st_dev, "directory": directory, **asdict(found)}
    try:
        Path(note).parent.mkdir(parents=True, exist_ok=True)
        content = (json.dumps(row, indent=1) + "\n").encode()
        files.write(note, content, mode=0o644, uid=os.geteuid(), gid=os.getegid())
    except OSError as error:
        raise Failure("OLR-DISK-001", directory=str(Path(note).parent), reason=error.strerror or str(error)) from error
    return found
