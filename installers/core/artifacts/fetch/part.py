"""The file while it is under way: its bytes, its digests, and which bytes may be believed after a kill."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from installers.core.artifacts.disk import free_bytes, sync, write_whole
from installers.core.artifacts.fetch.spans import Range, Spans
from installers.core.artifacts.fetch.wanted import Wanted
from installers.core.errors import Failure
from installers.core.host.scopes import boot_id

_READ = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Part:
    """``NAME.part`` at its full length from the start, and beside it which ranges of it are there, twice.

    ``NAME.written``: handed to the kernel. That outlives a kill of this program but not a loss of power, so it
    is believed in the same boot only. Recording it costs no flush and can be done every few MiB.
    ``NAME.state``: flushed to disk before the record was written, and the record flushed; believed always.
    """

    def __init__(self, to: Path, wanted: Wanted, *, boot: str) -> None:
        self.wanted = wanted
        self.spans = Spans()
        self.synced: list[Range] = []
        self.epoch = 0
        self._boot = boot
        self._to = to
        self._path = to.with_name(f"{to.name}.part")
        self._state = to.with_name(f"{to.name}.state")
        self._written = to.with_name(f"{to.name}.written")
        to.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._resume()
            self._allocate()
        except BaseException:
            os.close(self._file)
            raise
        self.resumed = self.spans.total
        self.rewind()

    def _resume(self) -> None:
        if os.fstat(self._file).st_size != self.wanted.size:
            os.ftruncate(self._file, 0)
            return
        self.synced = believed(_text(self._state), self.wanted)
        written = believed(_text(self._written), self.wanted, boot=self._boot) if self._boot else []
        self.spans = Spans([*self.synced, *written])

    def _allocate(self) -> None:
        """Take the whole room now: a full disk is told before the first byte."""
        if not self.wanted.size:
            return
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file, 0, self.wanted.size)
            else:
                os.ftruncate(self._file, self.wanted.size)
        except OSError as error:
            self.discard()
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> Failure:
        if error.errno not in _FULL:
            return Failure("OLR-ART-030", path=self._path, reason=error.strerror or str(error))
        where = self._path.parent
        needed, free = (-(-size // (1 << 20)) for size in (self.wanted.size, free_bytes(where)))
        return Failure("OLR-ART-002", path=where, needed=needed, free=free)

    def write(self, chunk: bytes, offset: int) -> None:
        """Put bytes in their place; any thread. Which bytes are there is the caller's to note in ``spans``."""
        view = memoryview(chunk)
        try:
            while view:
                count = os.pwrite(self._file, view, offset)
                view, offset = view[count:], offset + count
        except OSError as error:
            raise self._failure(error) from error

    def read(self, start: int, size: int) -> bytes:
        return os.pread(self._file, size, start)

    def row(self, ranges: list[Range]) -> str:
        """A record of these ranges of this file, good until the next boot."""
        row = {"sha256": self.wanted.sha256, "size": self.wanted.size, "boot": self._boot, "ranges": ranges}
        return json.dumps(row)

    def save(self, row: str) -> None:
        """Write down what was written, without a flush."""
        beside = self._written.with_suffix(".written.new")
        try:
            beside.write_text(row)
            beside.rename(self._written)
        except OSError as error:
            raise self._failure(error) from error

    def flush(self) -> None:
        """Bring to disk what was written before this call."""
        try:
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
        except OSError as error:
            raise self._failure(error) from error

    def save_synced(self, row: str) -> None:
        """Write down what was flushed, and flush that."""
        try:
            write_whole(self._state, row, mode=0o644)
        except OSError as error:
            raise self._failure(error) from error

    def forget(self, ranges: list[Range]) -> bool:
        """These bytes are not there; whether the digests have taken some of them in, or are about to."""
        self.epoch += 1
        sure = Spans(self.synced)
        for start, end in ranges:
            self.spans.remove(start, end)
            sure.remove(start, end)
        self.synced = sure.ranges()
        return any(start < max(self.hashed, self.hashing) for start, _ in ranges)

    def rewind(self) -> None:
        """Digests begin anew: bytes behind them have changed."""
        self.hashed = self.hashing = 0
        self._sha256 = hashlib.sha256()
        self._sha512 = hashlib.sha512() if self.wanted.integrity else None

    def hash_to(self, end: int, going: Callable[[], bool] = lambda: True) -> None:
        """Take the bytes up to ``end`` into the digests; they were written just now and are still in memory."""
        while self.hashed < end and going():
            chunk = self.read(self.hashed, min(_READ, end - self.hashed))
            if not chunk:
                raise Failure("OLR-ART-009", path=self._path)
            self._sha256.update(chunk)
            if self._sha512:
                self._sha512.update(chunk)
            self.hashed += len(chunk)

    @property
    def found(self) -> str:
        return self._sha256.hexdigest()

    def right(self) -> bool:
        """Whether the whole file is there and what was wanted."""
        self.hash_to(self.wanted.size)
        integrity = f"sha512-{base64.b64encode(self._sha512.digest()).decode()}" if self._sha512 else ""
        return self.found == self.wanted.sha256 and integrity == self.wanted.integrity

    def digest(self, start: int, end: int) -> bytes:
        """sha256 of a range as it is on disk."""
        sha256 = hashlib.sha256()
        while start < end:
            chunk = self.read(start, min(_READ, end - start))
            sha256.update(chunk)
            start += len(chunk) or end
        return sha256.digest()

    def finish(self) -> None:
        """The part becomes the file: flushed first, then renamed."""
        self.flush()
        self._path.rename(self._to)
        self._forget_records()
        sync(self._to.parent)

    def discard(self) -> None:
        """Nothing of it can be believed."""
        self._path.unlink(missing_ok=True)
        self._forget_records()

    def _forget_records(self) -> None:
        self._state.unlink(missing_ok=True)
        self._written.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._file)


def believed(text: str, wanted: Wanted, *, boot: str = "") -> list[Range]:
    """The ranges of a record ("" for none); with ``boot``, only if it was written in that boot.

    Whatever is not a record of this very file counts as none: then everything is fetched again.
    """
    try:
        row = json.loads(text)
        if (row["sha256"], row["size"]) != (wanted.sha256, wanted.size) or (boot and row["boot"] != boot):
            return []
        return _ranges(row["ranges"], wanted.size)
    except (ValueError, KeyError, TypeError):
        return []


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


def _ranges(rows: list[list[int]], size: int) -> list[Range]:
    found = [(int(start), int(end)) for start, end in rows]
    if any(not 0 <= start < end <= size for start, end in found):
        raise ValueError("a range outside the file")
    return found


def this_boot() -> str:
    """The kernel's name for this boot, "" where it has none (not Linux): then only flushed bytes are believed."""
    try:
        return boot_id()
    except OSError:
        return ""
