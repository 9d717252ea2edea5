"""Files of the upstream projects' own releases: what is pinned, and what the projects publish today."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote, urljoin

import msgspec

from installers.core.artifacts.inuse import text
from installers.core.errors import Failure
from installers.core.host.documents import document

TIMEOUT = 20.0
"""Seconds a project's site may take for its list of digests."""

LIMIT = 1 << 20
"""Bytes such a list may have at most; the longest seen is below 64 KiB."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a release. ``sha256`` is "" while nobody has pinned one: such a file is not installed."""

    name: str
    sha256: str = ""


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One release. ``base``: the address its files lie below; ``sums``: its list of digests, relative to that,
    "" where none names the file: then it is a small text.

    ``{version}``, ``{arch}`` and ``{name}`` are filled in. ``files`` are by architecture in Debian's words.
    """

    why: str
    version: str
    base: str
    files: dict[str, File]
    sums: str = ""

    def name(self, arch: str) -> str:
        return self.files[arch].name.format(version=self.version)

    def url(self, arch: str) -> str:
        return urljoin(self._base(arch), quote(self.name(arch)))

    def sums_url(self, arch: str) -> str:
        file = self.sums.format(version=self.version, arch=arch, name=self.name(arch))
        return urljoin(self._base(arch), quote(file))

    def _base(self, arch: str) -> str:
        return self.base.format(version=quote(self.version), arch=arch)


class Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image that a registry serves and no component runs yet; those of components stand with them."""

    why: str
    reference: str


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    releases: dict[str, Release]
    images: dict[str, Image] = {}


def parse_upstream(text: str) -> Upstream:
    """The data file; unknown keys and wrong types are refused by ``msgspec.ValidationError``."""
    return msgspec.convert(document(text), Upstream, strict=True)


@cache
def upstream(place: str = "") -> Upstream:
    """The releases of the signed index in a folder, "": of the one this program was shipped with."""
    return parse_upstream(text("upstream.yaml", place))


_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_BSD = re.compile(r"SHA256 \((?P<name>[^)]+)\) = (?P<digest>\S+)")


def parse_sums(text: str, name: str) -> str | None:
    """A file's sha256 in a list of digests, None where the list does not name it.

    Understands coreutils' form (``DIGEST  NAME``, ``DIGEST *NAME``), BSD's (``SHA256 (NAME) = DIGEST``) and a
    lone digest; paths before a name do not count; signatures around a list are passed over. ``ValueError``
    where two lines give one name different digests.
    """
    found: set[str] = set()
    for line in text.splitlines():
        digest, named = _sum_of(line.strip())
        if digest and named.rpartition("/")[2] in (name, ""):
            found.add(digest.lower())
    if len(found) > 1:
        raise ValueError(f"{len(found)} different digests for {name}")
    return next(iter(found), None)


def _sum_of(line: str) -> tuple[str, str]:
    """The digest of a line and the name beside it; both "" in any other line."""
    if match := _BSD.fullmatch(line):
        return (match["digest"], match["name"]) if _DIGEST.fullmatch(match["digest"]) else ("", "")
    digest, _, named = line.partition(" ")
    return (digest, named.strip().removeprefix("*")) if _DIGEST.fullmatch(digest) else ("", "")


class State(StrEnum):
    """What a project publishes, against what is pinned here."""

    SAME = "same"
    NEW = "not pinned here"
    DIFFERS = "differs"
    UNNAMED = "not named by the project"
    UNREACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Compared:
    """One file of a release. ``published``: the project's digest, "" where there is none; ``why`` then says why."""

    release: str
    version: str
    arch: str
    url: str
    state: State
    pinned: str
    published: str = ""
    why: str = ""


class Texts(Protocol):
    """Gets a small text by its address; raises ``OSError`` or ``ValueError`` where there is none."""

    def __call__(self, url: str) -> str: ...


def compare(names: Sequence[str] = (), *, text: Texts | None = None, among: Upstream | None = None) -> list[Compared]:
    """Every file of the named releases (default: all) as its project publishes it, asked for in parallel.

    ``OLR-ART-015``: no release of that name. Nothing is written anywhere.
    """
    known = (among or upstream()).releases
    for name in names:
        if name not in known:
            raise Failure("OLR-ART-015", release=name, known=", ".join(known))
    wanted = [(name, known[name], arch) for name in names or known for arch in known[name].files]
    ask = cache(text or _text)
    with ThreadPoolExecutor(8, thread_name_prefix="sums") as pool:
        return list(pool.map(lambda one: _compared(*one, text=ask), wanted))


def _compared(name: str, release: Release, arch: str, *, text: Texts) -> Compared:
    pinned = release.files[arch].sha256

    def found(state: State, *, published: str = "", why: str = "") -> Compared:
        return Compared(name, release.version, arch, release.url(arch), state, pinned, published, why)

    address = release.sums_url(arch) if release.sums else release.url(arch)
    try:
        published = _published(release, arch, text(address))
    except (OSError, ValueError) as error:
        return found(State.UNREACHED, why=f"{address}: {error}")
    if published is None:
        return found(State.UNNAMED, why=f"{address} names other files only")
    if not pinned:
        return found(State.NEW, published=published)
    return found(State.SAME if published == pinned else State.DIFFERS, published=published)


def _published(release: Release, arch: str, text: str) -> str | None:
    """A file's digest by the project's list; of a file that no list names, which are small texts, by itself."""
    if not release.sums:
        return sha256(text.encode()).hexdigest()
    return parse_sums(text, release.name(arch))


def _text(url: str) -> str:
    from installers.core.artifacts.fetch import BROKEN, HttpLine

    try:
        with closing(HttpLine(patience=TIMEOUT, connect=TIMEOUT)) as line:
            content = line.document(url, limit=LIMIT)
    except BROKEN as error:
        raise OSError(str(error) or type(error).__name__) from error
    if content.lstrip()[:1] == b"<":
        raise ValueError("a web page and no list of digests")
    return content.decode("utf-8", "strict")
