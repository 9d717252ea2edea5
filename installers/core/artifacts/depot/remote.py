"""Depots on web servers: their metadata and files over the fetcher's own line, bounded by what is signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote

from installers.core.artifacts.depot.contents import LIMIT, METADATA, Target
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.fetch import BROKEN, HttpLine
from installers.core.artifacts.fetch.line import Line
from installers.core.artifacts.fetch.logins import asking
from installers.core.artifacts.fetch.mirrors import public
from installers.core.artifacts.fetch.proxy import ProxyFault
from installers.core.artifacts.fetch.together import asked_together
from installers.core.artifacts.report import Report
from installers.core.errors import Failure

_CHUNK = 1 << 20
_GRACE = 2.0
"""Seconds that places which say nothing are waited for once another has answered."""

_ABSENT = frozenset({403, 404, 410})
"""Answers of a server that has no such file; some that do not list their files say 403."""


class Remote:
    """One depot's address and the line it is read over."""

    def __init__(self, place: str, line: Line) -> None:
        self.place = place
        self.line = line

    @property
    def named(self) -> str:
        """The address for messages."""
        return public(self.place)

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
                    raise Refused("OLR-BND-010", place=self.named, missing=target.path, count=1)
                while size <= target.size and (chunk := answer.read(_CHUNK)):
                    digest.update(chunk)
                    size += len(chunk)
                    yield chunk
        except BROKEN as error:
            raise Failure("OLR-BND-018", place=self.named, reason=error) from error
        if size != target.size or digest.hexdigest() != target.sha256:
            raise Refused("OLR-BND-009", place=self.named, file=target.path, found=digest.hexdigest())


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


def carriers(places: tuple[str, ...], report: Report, *, seconds: float = 10.0) -> tuple[str, ...]:
    """Which of these addresses carry a depot, all the same one; () where those that answer carry none.

    Each is asked once, all at the same time; one that is not reached while another is, is told and left out.
    ``seconds``: of silence before it counts as that, or ``_GRACE`` of them once another has answered. Nothing is
    verified yet. Raises OLR-BND-018 where none is reached (OLR-PROXY where that is the proxy's doing), 021 where
    they differ, 002 where something else is there.
    """
    answered = asked_together(
        places,
        lambda place: _stamp(place, seconds),
        good=lambda answer: not isinstance(answer, Failure),
        grace=_GRACE,
    )
    late = f"it said nothing for {_GRACE:.0f} s while another place answered"
    found = {one: answered.get(one, Failure("OLR-BND-018", place=public(one), reason=late)) for one in places}
    silent = {place: answer for place, answer in found.items() if isinstance(answer, Failure)}
    wrong = next((failure for failure in silent.values() if failure.id == "OLR-BND-002"), None)
    if wrong or len(silent) == len(found):
        raise wrong or next(iter(silent.values()))
    for failure in silent.values():
        report(0, 0, "bytes", failure.what)
    stamps = {place: answer for place, answer in found.items() if place not in silent}
    if len(set(stamps.values())) > 1:
        told = (f"{public(place)} {_said(stamp)}" for place, stamp in stamps.items() if not isinstance(stamp, Failure))
        raise Failure("OLR-BND-021", differing="; ".join(told))
    return tuple(place for place, stamp in stamps.items() if stamp is not None)


def _stamp(place: str, seconds: float) -> bytes | Failure | None:
    """The newest signature of a depot as it lies there, None where there is none, or why that is not known."""
    url = f"{place.rstrip('/')}/{METADATA}/timestamp.json"
    try:
        with closing(HttpLine(patience=seconds, connect=seconds)) as line, closing(line.get(url, {})) as answer:
            if answer.status in _ABSENT:
                return None
            if answer.status != 200:
                reason = f"{public(url)} answered {answer.status}{asking(answer.status)}"
                return Failure("OLR-BND-018", place=public(place), reason=reason)
            text = bytearray()
            while len(text) < LIMIT and (chunk := answer.read(_CHUNK)):
                text += chunk
    except ProxyFault as fault:
        return fault
    except BROKEN as error:
        return Failure("OLR-BND-018", place=public(place), reason=str(error) or type(error).__name__)
    if not text.lstrip().startswith(b"{"):
        reason = f"what came in place of {METADATA}/timestamp.json is something else, perhaps a web page"
        return Refused("OLR-BND-002", place=public(place), reason=reason)
    return bytes(text)


def _said(stamp: bytes | None) -> str:
    """How a place differs from another, for the message."""
    if stamp is None:
        return "has none"
    return f"has the one whose timestamp has sha256 {hashlib.sha256(stamp).hexdigest()[:16]}..."
