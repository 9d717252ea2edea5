"""Fetching over HTTP(S): goes on where it stopped, also after kill -9, and believes only the digest."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from installers.core.artifacts.cache import sync
from installers.core.artifacts.report import Report
from installers.core.errors import Failure

if TYPE_CHECKING:
    import httpx

_STALL = 20.0
"""Seconds without one byte before a connection is given up."""

_ROUNDS = 6
"""How often the whole list of places is tried without any progress between."""

_STEP = 7 << 20
"""Bytes between two flushes: with one chunk, the most that is fetched twice after kill -9 or a loss of power."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file by digest: a name for messages, size in bytes, sha256 in hex, npm's sha512 if it has one."""

    name: str
    size: int
    sha256: str
    integrity: str = ""


class Answer(Protocol):
    """The part of an HTTP answer a fetch looks at."""

    status_code: int

    @property
    def headers(self) -> httpx.Headers: ...
    def iter_bytes(self, chunk_size: int) -> Iterator[bytes]: ...


class Client(Protocol):
    """Asks a place for a file from an offset on; the answer is closed at the end of the iteration."""

    def get(self, url: str, offset: int) -> Iterator[Answer]: ...


class Httpx:
    """The real client: the system's certificates and proxy settings."""

    def __init__(self) -> None:
        import ssl

        import httpx

        timeout = httpx.Timeout(_STALL, connect=15.0)
        self._client = httpx.Client(timeout=timeout, follow_redirects=True, verify=ssl.create_default_context())

    def get(self, url: str, offset: int) -> Iterator[Answer]:
        # identity: a compressed answer has other offsets than the file.
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with self._client.stream("GET", url, headers=headers) as answer:
            yield answer

    def json(self, url: str) -> object:
        """A small JSON document; raises ``httpx.HTTPError`` or ``ValueError``."""
        answer = self._client.get(url, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return answer.json()


class _Refused(Exception):
    """This place will not do: why."""


def fetch(
    urls: tuple[str, ...],
    wanted: Wanted,
    *,
    to: Path,
    report: Report,
    client: Client | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch a file to ``to`` from the first of several places that gives it, whole and right.

    Beside it stand ``.part`` and ``.state`` (how much of the part is surely on disk) while it is
    under way. Raises ``Failure``: OLR-ART-004 (out of places), 005 (another file), 006 (a web page).
    """
    with closing(_Part(to, wanted)) as part:
        _from_any(urls, part, client=client or Httpx(), report=report, sleep=sleep)


def _from_any(
    urls: tuple[str, ...], part: _Part, *, client: Client, report: Report, sleep: Callable[[float], None]
) -> None:
    wanted = part.wanted
    places, idle = list(urls), 0
    last = Failure("OLR-ART-004", artifact=wanted.name, reason="no place was named")
    while places and idle < _ROUNDS:
        before = part.size
        for url in tuple(places):
            try:
                if part.size < wanted.size:
                    _stream(client, url, part, report)
                part.finish(url)
                return
            except Failure as failure:
                # It gave something else: no use asking there again.
                places.remove(url)
                last = failure
            except _Refused as refusal:
                last = Failure("OLR-ART-004", artifact=wanted.name, reason=str(refusal))
            except _errors() as error:
                reason = f"{url}: {str(error) or type(error).__name__}"
                last = Failure("OLR-ART-004", artifact=wanted.name, reason=reason)
        idle = 0 if part.size > before else idle + 1
        if places and idle < _ROUNDS:
            sleep(min(30.0, 0.5 * 2**idle) * random.uniform(0.7, 1.3))  # noqa: S311 - spreads retries, guards nothing
    raise last


def _errors() -> tuple[type[Exception], ...]:
    import httpx

    return (httpx.HTTPError, httpx.StreamError, ConnectionError, TimeoutError)


def _stream(client: Client, url: str, part: _Part, report: Report) -> None:
    for answer in client.get(url, part.size):
        if answer.status_code == 416:
            part.restart()
            raise _Refused(f"{url} has a shorter file")
        if answer.status_code not in (200, 206):
            raise _Refused(f"{url} answered {answer.status_code}")
        if "text/html" in answer.headers.get("content-type", ""):
            raise Failure("OLR-ART-006", artifact=part.wanted.name, place=url)
        if answer.status_code == 200 or not answer.headers.get("content-range", "").startswith(f"bytes {part.size}-"):
            # The place cannot give a part, or gave another one: take the file from its beginning.
            if answer.status_code == 206:
                raise _Refused(f"{url} answered with another range")
            part.restart()
        for chunk in answer.iter_bytes(1 << 18):
            part.add(chunk[: part.wanted.size - part.size])
            report(part.size, part.wanted.size, "bytes", part.wanted.name)
            if part.size == part.wanted.size:
                return
    raise _Refused(f"{url} ended after {part.size} of {part.wanted.size} bytes")


class _Part:
    """The file while it is under way: bytes, digests, and how much is surely on disk."""

    def __init__(self, to: Path, wanted: Wanted) -> None:
        self.wanted = wanted
        self._to = to
        self._path = to.with_name(f"{to.name}.part")
        self._state = to.with_name(f"{to.name}.state")
        to.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        self._resume()

    def _resume(self) -> None:
        try:
            row = json.loads(self._state.read_text())
            sure = int(row["sure"]) if row["sha256"] == self.wanted.sha256 else 0
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            sure = 0
        self._file.truncate(min(sure, os.fstat(self._file.fileno()).st_size))
        self._digests()
        self._file.seek(0)
        while chunk := self._file.read(1 << 20):
            self._count(chunk)
        self._sure = self.size

    def _digests(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._sha512 = hashlib.sha512() if self.wanted.integrity else None

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._sha256.update(chunk)
        if self._sha512:
            self._sha512.update(chunk)

    def add(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._count(chunk)
        if self.size - self._sure >= _STEP:
            self._flush()
            # Not flushed itself: when a loss of power takes it, an older one or none is believed.
            beside = self._state.with_suffix(".state.new")
            beside.write_text(json.dumps({"sha256": self.wanted.sha256, "sure": self.size}))
            beside.rename(self._state)
            self._sure = self.size

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate(0)
        self._state.unlink(missing_ok=True)
        self._digests()
        self._sure = 0

    def finish(self, place: str) -> None:
        """The part becomes the file, when it is the right one; else it is emptied and refused."""
        found, integrity = self._sha256.hexdigest(), self._integrity()
        if found != self.wanted.sha256 or integrity != self.wanted.integrity:
            self.restart()
            expected = self.wanted.sha256
            raise Failure("OLR-ART-005", artifact=self.wanted.name, place=place, found=found, expected=expected)
        self._flush()
        self._path.rename(self._to)
        self._state.unlink(missing_ok=True)
        sync(self._to.parent)

    def _integrity(self) -> str:
        import base64

        return f"sha512-{base64.b64encode(self._sha512.digest()).decode()}" if self._sha512 else ""
