"""What an answer says about a mirror, before a byte of the file is taken from it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from installers.core.artifacts.fetch.line import Answer
from installers.core.artifacts.fetch.logins import asking
from installers.core.artifacts.fetch.mirrors import Fault, retry_after
from installers.core.artifacts.fetch.work import Stretch
from installers.core.errors import Failure

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_BUSY = frozenset({429, 503})
_PASSING = frozenset({408, 425, 500, 502, 504})


@dataclass(slots=True)
class Refusal(Exception):
    """A stretch did not come. With a ``fault`` the mirror is dropped; ``after``: seconds it asks us to wait."""

    reason: str
    fault: Fault | None = None
    after: float | None = None
    busy: bool = False
    again: bool = False
    """Nothing is wrong, but the question has to be put another way."""
    failure: Failure | None = None
    """What to tell instead, where it is not the mirror's doing."""


def question(stretch: Stretch, size: int) -> dict[str, str]:
    """The headers of a request for a stretch."""
    mirror = stretch.mirror
    if not mirror.ranged or (stretch.start, stretch.end) == (0, size):
        return {}
    headers = {"Range": f"bytes={stretch.start}-{stretch.end - 1}"}
    # A mirror whose versions alternate (several servers behind one name) would never answer with a part again.
    if mirror.validator and not mirror.validator.startswith("W/") and not mirror.version:
        headers["If-Range"] = mirror.validator
    return headers


def first_byte(answer: Answer, stretch: Stretch, *, size: int, asked: dict[str, str], now: float) -> int:
    """The offset of the answer's first byte in the file; raises ``Refusal``. ``now``: Unix time."""
    mirror = stretch.mirror
    _judge_status(answer, stretch, now)
    if answer.header("Content-Type").lower().startswith("text/html"):
        raise Refusal("sent a web page", Fault.WEB_PAGE)
    if answer.header("Content-Encoding").lower() not in ("", "identity"):
        raise Refusal("sent it compressed, though asked not to", Fault.FAILED)
    if answer.status == 206:
        return _part(answer, stretch, size)
    length = answer.header("Content-Length")
    if length.isdigit() and int(length) != size:
        raise Refusal(f"has a file of {length} bytes, not {size}", Fault.LIED)
    changed = _showed(answer, stretch)
    if "Range" in asked:
        # Whole although a part was asked for: another version by If-Range, else it knows no ranges.
        mirror.ranged = changed and "If-Range" in asked
        raise Refusal("knows no ranges", again=True)
    return 0


def _judge_status(answer: Answer, stretch: Stretch, now: float) -> None:
    status, mirror = answer.status, stretch.mirror
    if status in (200, 206):
        mirror.location = answer.url if answer.url != mirror.url else ""
        return
    if stretch.place != mirror.url:
        # Where it sent us once; such addresses expire. Its own address decides.
        mirror.location = ""
        raise Refusal(f"sent us to where the answer is {status}")
    if status == 416:
        raise Refusal("has a shorter file", Fault.LIED)
    wait = retry_after(answer.header("Retry-After"), now=now)
    if status in _BUSY:
        raise Refusal(f"answered {status}", after=wait, busy=True)
    raise Refusal(f"answered {status}{asking(status)}", None if status in _PASSING else Fault.FAILED, wait)


def _part(answer: Answer, stretch: Stretch, size: int) -> int:
    found = _CONTENT_RANGE.match(answer.header("Content-Range"))
    if found is None or int(found[1]) != stretch.start:
        raise Refusal("answered with another range", Fault.FAILED)
    if found[3] not in ("*", str(size)):
        raise Refusal(f"has a file of {found[3]} bytes, not {size}", Fault.LIED)
    _showed(answer, stretch)
    return stretch.start


def _showed(answer: Answer, stretch: Stretch) -> bool:
    changed = stretch.mirror.showed(answer.header("ETag") or answer.header("Last-Modified"))
    stretch.voice = stretch.mirror.voice
    return changed
