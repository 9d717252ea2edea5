"""Following a run by its file: every record as it comes, and the truth when the run has died."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from installers.core.errors import Failure
from installers.core.host.scopes import boot_id, start_time
from olares_cli.runs.records import Process, Record, Result, decode

PAUSE = 0.1
"""Seconds between looks at the file. An unlinked or fresh file is the same to us, unlike to inotify."""

BEGIN = 60.0
"""Seconds a run may take from its start to its first record."""


def run_files(logs: str) -> list[Path]:
    """The files of all runs, the latest last (ids begin with the time)."""
    return sorted(Path(logs).glob("run-*.jsonl"))


def run_id(path: Path) -> str:
    return path.stem.removeprefix("run-")


def alive(process: Process) -> bool:
    """Whether a run's process is still that process."""
    return process.boot_id == boot_id() and start_time(process.pid) == process.start_time


@dataclass
class Follower:
    """Reads one run's records. ``process`` is known after the first of them."""

    file: BinaryIO
    path: str
    process: Process | None = None
    _torn: bytes = b""

    def records(self) -> Iterator[Record | None]:
        """Every record until the result, and None about ten times a second while there is none.

        Raises ``Failure`` OLR-CLI-007 when the run does not begin and OLR-CLI-006 when its process
        is gone without having written a result.
        """
        deadline = time.monotonic() + BEGIN
        while True:
            gone = self.process is not None and not alive(self.process)
            for record in self._new():
                yield record
                if isinstance(record, Result):
                    return
            if gone:
                raise Failure("OLR-CLI-006", log=self.path)
            if self.process is None and time.monotonic() > deadline:
                raise Failure("OLR-CLI-007", seconds=f"{BEGIN:g}", log=self.path)
            yield None
            time.sleep(PAUSE)

    def _new(self) -> Iterator[Record]:
        while chunk := self.file.read(1 << 20):
            *lines, self._torn = (self._torn + chunk).split(b"\n")
            for line in lines:
                record = decode(line)
                if isinstance(record, Process):
                    self.process = record
                if record is not None:
                    yield record

    def interrupt(self) -> bool:
        """Ask the run to stop as Ctrl-C would; False when it cannot be asked (any more)."""
        if self.process is None or not alive(self.process):
            return False
        try:
            handle = os.pidfd_open(self.process.pid)
        except (ProcessLookupError, PermissionError):
            return False
        try:
            # Asked again with the handle open: from here on the number cannot change its owner.
            if not alive(self.process):
                return False
            signal.pidfd_send_signal(handle, signal.SIGINT)
        except (ProcessLookupError, PermissionError):
            return False
        finally:
            os.close(handle)
        return True
