"""Asking registries for a manifest: in turn, patiently, and with a name for everything that can be wrong."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from installers.core.artifacts.fetch import BROKEN, Limits
from installers.core.artifacts.fetch.line import Answer
from installers.core.artifacts.fetch.mirrors import retry_after
from installers.core.artifacts.fetch.proxy import ProxyFault, through
from installers.core.artifacts.oci.documents import ACCEPT, LIMIT
from installers.core.artifacts.oci.line import RegistryLine
from installers.core.artifacts.oci.places import Place
from installers.core.errors import Failure

UNREACHED = "OLR-IMAGE-004"
_BUSY = frozenset({429, 503})
_PASSING = frozenset({408, 425, 500, 502, 504})


@dataclass(frozen=True, slots=True)
class Document:
    """What a place gave: its bytes, and what it says they are; ``claimed``: their digest in its own words, or ""."""

    content: bytes
    media_type: str
    claimed: str

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Ask:
    """One image's questions. ``image``: its name for messages. ``sleep``: waits so many seconds."""

    image: str
    line: RegistryLine
    limits: Limits = field(default_factory=Limits)
    sleep: Callable[[float], None] = time.sleep

    def manifest(self, places: Sequence[Place], what: str, *, digest: str = "") -> Document:
        """The manifest or index under a tag or digest, from the first place that has it.

        ``digest``: what it has to be, "" where the place is believed. Raises OLR-IMAGE-004 to 009; where several
        places have failed in several ways, 004 with all they said.
        """
        failures: list[Failure] = []
        for place in places:
            try:
                return self._checked(place, what, digest)
            except Failure as failure:
                failures.append(failure)
        ids = {failure.id for failure in failures}
        if len(failures) == 1 or (len(ids) == 1 and UNREACHED not in ids):
            raise failures[-1]
        said = (str(failure.fields["reason"]) if failure.id == UNREACHED else failure.what for failure in failures)
        raise Failure(UNREACHED, image=self.image, reason="; ".join(said))

    def _checked(self, place: Place, what: str, digest: str) -> Document:
        found = self._patiently(place, what)
        expected = digest or found.claimed
        if expected.startswith("sha256:") and found.digest != expected:
            row = {"place": place.name, "image": self.image, "found": found.digest, "expected": expected}
            raise Failure("OLR-IMAGE-009", **row)
        return found

    def _patiently(self, place: Place, what: str) -> Document:
        attempt = 0
        while True:
            attempt += 1
            pause: float | None = min(self.limits.longest_pause, self.limits.pause * 2 ** (attempt - 1))
            try:
                with closing(self.line.get(place.manifest(what), {"Accept": ACCEPT})) as answer:
                    failure, wait = self._judged(place, answer)
                    if failure is None:
                        return self._read(place, answer)
                pause = None if wait is None else min(max(wait, pause or 0.0), self.limits.retry_after)
            except ProxyFault as fault:
                failure, pause = fault, None if fault.lasting else pause
            except BROKEN as error:
                said = "it said nothing for too long" if isinstance(error, TimeoutError) else str(error)
                failure = self._unreached(place, said or type(error).__name__)
            if pause is None or attempt >= self.limits.attempts:
                raise failure
            self.sleep(pause)

    def _judged(self, place: Place, answer: Answer) -> tuple[Failure | None, float | None]:
        """What is wrong with an answer, None for nothing, and after how many seconds to ask again, None for never."""
        status, fields = answer.status, {"place": place.name, "image": self.image}
        if status == 200:
            page = answer.header("Content-Type").lower().startswith("text/html")
            return (Failure("OLR-IMAGE-008", **fields) if page else None), None
        if status in (401, 403):
            return Failure("OLR-IMAGE-005", **fields), None
        if status == 404:
            return Failure("OLR-IMAGE-006", **fields), None
        wait = retry_after(answer.header("Retry-After"), now=time.time()) or 0.0
        if status in _BUSY:
            return Failure("OLR-IMAGE-007", **fields, status=status), wait
        return self._unreached(place, f"it answered {status}"), wait if status in _PASSING else None

    def _read(self, place: Place, answer: Answer) -> Document:
        content = bytearray()
        while chunk := answer.read(LIMIT + 1 - len(content)):
            content += chunk
        said = answer.header("Content-Length")
        if len(content) > LIMIT or (said.isdigit() and int(said) != len(content)):
            raise OSError(f"its manifest has {len(content)} bytes, which is too long or not all of it")
        if content.lstrip()[:1] == b"<":
            raise Failure("OLR-IMAGE-008", place=place.name, image=self.image)
        return Document(bytes(content), answer.header("Content-Type"), answer.header("Docker-Content-Digest"))

    def _unreached(self, place: Place, reason: str) -> Failure:
        where = f"{place.name}{through(place.base)}"
        return Failure(UNREACHED, image=self.image, reason=f"{where}: {reason}")
