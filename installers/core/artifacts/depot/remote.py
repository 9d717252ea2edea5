"""A depot on a web server: its metadata and files over the fetcher's own line, bounded by what is signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote

from installers.core.artifacts.depot.contents import METADATA, Target
from installers.core.artifacts.fetch import BROKEN, HttpLine
from installers.core.artifacts.fetch.line import Line
from installers.core.artifacts.report import Report
from installers.core.errors import Failure

_CHUNK = 1 << 20


class Remote:
    """One depot's address and the line it is read over."""

    def __init__(self, place: str, line: Line) -> None:
        self.place = place
        self.line = line

    @property
    def metadata(self) -> str:
        return f"{self.place.rstrip('/')}/{METADATA}/"

    def read(self, target: Target) -> bytes:
        """A small file, as the signatures have it."""
        return b"".join(self._chunks(target))

    def check(self, target: Target) -> None:
        """Read a file to its end and compare it; nothing is kept."""
        for _ in self._chunks(target):
            pass

    def _chunks(self, target: Target) -> Iterator[bytes]:
        digest, size = hashlib.sha256(), 0
        try:
            with closing(self.line.get(f"{self.place.rstrip('/')}/{quote(target.path)}", {})) as answer:
                if answer.status != 200:
                    raise Failure("OLR-BND-010", place=self.place, missing=target.path, count=1)
                while size <= target.size and (chunk := answer.read(_CHUNK)):
                    digest.update(chunk)
                    size += len(chunk)
                    yield chunk
        except BROKEN as error:
            raise Failure("OLR-BND-018", place=self.place, reason=error) from error
        if size != target.size or digest.hexdigest() != target.sha256:
            raise Failure("OLR-BND-009", place=self.place, file=target.path, found=digest.hexdigest())


@contextmanager
def reached(place: str) -> Iterator[Remote]:
    with closing(HttpLine()) as line:
        yield Remote(place, line)


def check_all(place: str, targets: Iterable[Target], report: Report) -> None:
    """Compare every file of a depot on a web server, reading all of it. OLR-BND-009, 010, 018."""
    rows = list(targets)
    total, done = sum(target.size for target in rows), 0
    with reached(place) as remote:
        for target in rows:
            remote.check(target)
            done += target.size
            report(done, total, "bytes", f"checking {target.path}")
