"""Reading a packed depot without believing it: only names the signatures list, never more bytes than they say."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from installers.core.artifacts.depot.contents import FILE, LIMIT, METADATA, Target
from installers.core.artifacts.depot.pack import BROKEN, opened
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.report import Report

_SLACK = 1 << 16
"""Bytes of headers and padding a tar may have around a member; tarfile reads ahead by 10 KiB."""

_HEAD = 512
"""Metadata files a depot may have: each key rotation adds one."""

_CHUNK = 1 << 20
_PLAIN = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})


def head(path: Path, to: Path) -> None:
    """Take the metadata and contents.json, which come first, out of a packed depot; nothing else is read.

    ``OLR-BND-002`` for a file that is no depot or cut short, 008 for a member that is no plain file.
    """
    with _members(path, OnlyHead()) as members:
        for entry, content in members:
            target = to / entry.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                _copy(content, file)


def unpack(path: Path, targets: Mapping[str, Target], to: Path, report: Report) -> None:
    """Take all targets out of a packed depot, each compared with its digest while it is written.

    ``OLR-BND-002`` (cut short), 008 (a member that is no target, or no plain file), 009 (another file than
    signed), 010 (a target is missing). What was written before a failure is for the caller to remove.
    """

    def written(name: str, content: Iterator[bytes]) -> None:
        place = to / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as file:
            for chunk in content:
                file.write(chunk)

    _read(path, targets, written, report)


def check(path: Path, targets: Mapping[str, Target], report: Report) -> None:
    """Read a packed depot to its end and compare everything, as ``unpack`` does; nothing is written."""

    def passed(name: str, content: Iterator[bytes]) -> None:
        for _ in content:
            pass

    _read(path, targets, passed, report)


def _read(
    path: Path, targets: Mapping[str, Target], use: Callable[[str, Iterator[bytes]], None], report: Report
) -> None:
    total, done, found = sum(target.size for target in targets.values()), 0, set[str]()
    with _members(path, Listed(targets)) as members:
        for entry, content in members:
            if entry.name.startswith(f"{METADATA}/"):
                continue
            target = targets[entry.name]
            found.add(entry.name)
            digest = hashlib.sha256()
            use(entry.name, _digested(content, digest.update))
            done += entry.size
            report(done, total, "bytes", entry.name)
            if digest.hexdigest() != target.sha256 or entry.size != target.size:
                raise Refused("OLR-BND-009", place=path, file=entry.name, found=digest.hexdigest())
    if missing := sorted(set(targets) - found):
        raise Refused("OLR-BND-010", place=path, missing=", ".join(missing[:3]), count=len(missing))


class OnlyHead:
    """Before anything is verified: metadata and contents.json, of bounded size and number."""

    def __init__(self) -> None:
        self._count = 0

    def allowed(self, name: str) -> int | None:
        self._count += 1
        return LIMIT if _is_head(name) and self._count <= _HEAD else None

    def reads_on(self, name: str) -> bool:
        return _is_head(name)


class Listed(OnlyHead):
    """Once the signatures are verified: what they list, each file as long as they say."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        super().__init__()
        self._targets = targets

    def allowed(self, name: str) -> int | None:
        if name in self._targets:
            return self._targets[name].size
        return super().allowed(name)

    def reads_on(self, name: str) -> bool:
        return True


def _is_head(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return name == FILE or (folder == METADATA and file.endswith(".json") and not file.startswith("."))


@contextmanager
def _members(path: Path, rule: OnlyHead) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """The members of a packed depot, each judged before a byte of it is read."""
    try:
        with opened(path) as raw:
            meter = Meter(raw)
            with tarfile.open(fileobj=cast(IO[bytes], meter), mode="r|") as tar:
                yield _judged(tar, meter, rule, path)
    except BROKEN as error:
        raise Refused("OLR-BND-002", place=path, reason=str(error) or "it is cut short") from error


def _judged(
    tar: tarfile.TarFile, meter: Meter, rule: OnlyHead, path: Path
) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    seen: set[str] = set()
    for entry in tar:
        if entry.type not in _PLAIN:
            raise Refused("OLR-BND-008", place=path, member=_shown(entry), reason="it is no plain file")
        if not rule.reads_on(entry.name):
            return
        limit = rule.allowed(entry.name)
        if limit is None:
            raise Refused("OLR-BND-008", place=path, member=_shown(entry), reason="the signatures do not list it")
        if entry.name in seen:
            raise Refused("OLR-BND-008", place=path, member=_shown(entry), reason="it is there twice")
        if entry.size > limit:
            raise Refused("OLR-BND-009", place=path, file=_shown(entry), found=f"{entry.size} bytes, {limit} at most")
        seen.add(entry.name)
        meter.allow(entry.offset_data + entry.size + _SLACK)
        content = tar.extractfile(entry)
        yield entry, content or io.BytesIO()
    while meter.read(_CHUNK):
        pass  # to the end of the compressed stream, which a copy cut short lacks
    if not seen:
        raise Refused("OLR-BND-002", place=path, reason="it is an empty archive")


def _shown(entry: tarfile.TarInfo) -> str:
    """A member's name for a message: whoever wrote it may have wanted to write to a terminal."""
    return ascii(entry.name[:200])[1:-1]


def _digested(content: IO[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK):
        update(chunk)
        yield chunk


def _copy(content: IO[bytes], to: IO[bytes]) -> None:
    while chunk := content.read(_CHUNK):
        to.write(chunk)


class Meter:
    """A stream that gives no more bytes than the members so far account for: long headers and bombs end here."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._read = 0
        self._allowed = _SLACK

    def allow(self, until: int) -> None:
        self._allowed = until

    def read(self, size: int) -> bytes:
        if self._read > self._allowed:
            raise tarfile.ReadError("it has more bytes than its members account for")
        chunk = self._stream.read(size)
        self._read += len(chunk)
        return chunk
