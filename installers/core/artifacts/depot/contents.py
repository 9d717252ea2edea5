"""What a depot is for, as its signed ``contents.json`` says, and what in it is where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec

from installers.core.artifacts.depot.refused import Refused
from installers.core.errors import Failure

FILE = "contents.json"
METADATA = "metadata"
FETCHED, BUILT, LEDGER, APT, INDEX = "fetched", "built", "ledger", "apt", "index"
LIMIT = 8 << 20
"""Bytes a metadata file may have; one of a thousand targets has 200 KiB."""

FORMAT = 2
"""Raised when an older program could not read a newer depot. 2: with images of registries; 1 is read too."""

_TOPS = frozenset({FETCHED, BUILT, LEDGER, APT, INDEX})


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image of a registry, for the depot's architecture. ``reference``: as components name it.

    ``digest``: of what it names, an index as a rule; ``manifest``: of the one image in here. ``by_tag``: nobody
    had pinned it, so that the depot's maker vouches for what the registry served.
    """

    reference: str
    digest: str
    manifest: str
    by_tag: bool = False


class Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a depot holds and for which hosts.

    ``family`` and ``release``: os-release's ID and code name (or version id where there is none); both ""
    where nothing in it depends on the system. ``architecture`` in Debian's words. ``made``: when, ISO 8601
    in UTC; ``by``: the version of this program that made it.
    """

    edition: str
    engine: str
    architecture: str
    components: tuple[str, ...]
    made: str
    by: str
    family: str = ""
    release: str = ""
    images: tuple[Served, ...] = ()
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Target:
    """A file that the signatures name: its path in the depot, sha256 in hex, size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class For:
    """A host and the choices made for it, as far as a depot has to match them; "" matches anything."""

    family: str
    release: str
    architecture: str
    engine: str = ""
    edition: str = ""


def parse_contents(text: bytes, *, place: str) -> Contents:
    """``contents.json``; ``OLR-BND-002`` for one that is none or of a later format."""
    try:
        contents = msgspec.json.decode(text, type=Contents)
    except msgspec.DecodeError as error:
        raise Refused("OLR-BND-002", place=place, reason=f"its {FILE}: {error}") from error
    if not 0 < contents.format <= FORMAT:
        raise Refused("OLR-BND-002", place=place, reason=f"it has format {contents.format}, known is {FORMAT}")
    return contents


def require_match(contents: Contents, host: For, *, place: str) -> None:
    """``OLR-BND-011`` unless the depot is for such a host, naming everything that differs."""
    rows = (
        ("system", contents.family, host.family),
        ("release", contents.release, host.release),
        ("architecture", contents.architecture, host.architecture),
        ("engine", contents.engine, host.engine),
        ("edition", contents.edition, host.edition),
    )
    differing = [f"{what} {has}, here {wants}" for what, has, wants in rows if has and wants and has != wants]
    if differing:
        raise Failure("OLR-BND-011", place=place, differing="; ".join(differing))


def is_safe(path: str) -> bool:
    """Whether a target's path may be one: ``contents.json``, or plain names below one of the known folders."""
    if path == FILE:
        return True
    parts = PurePosixPath(path).parts
    plain = str(PurePosixPath(path)) == path and not any(part in ("..", "/") or "\\" in part for part in parts)
    return plain and len(parts) > 1 and parts[0] in _TOPS and "\0" not in path
