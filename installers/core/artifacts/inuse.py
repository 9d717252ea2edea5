"""The index in use: the program's own, or a signed one that was taken, each byte compared with what was accepted.

::

    <state>/index/use.json      the index in use; none: the program's own
    <state>/index/taken.json    the latest one taken; an installed host goes by it when told to
    <state>/index/<id>/*.yaml   the files of those two
    <state>/index/trust/        whom this host trusts for an index, and the newest it saw of them
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from importlib import resources
from pathlib import Path

import msgspec

from installers.core.artifacts.disk import write_whole
from installers.core.errors import Failure

FILES = ("index.yaml", "upstream.yaml")
"""What an index is made of."""

USED, TAKEN = "use.json", "taken.json"


class Taken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed index as it was accepted. ``version``: when it was signed, seconds since the epoch.

    ``expires``: until when it could be taken up, ISO 8601; ``sha256`` by file name, as its signatures had them.
    """

    id: str
    place: str
    fingerprint: str
    version: int
    expires: str
    sha256: dict[str, str]


class Made(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the program's own index was made, seconds since the epoch, and the sha256 over its files."""

    at: int
    sha256: str


def folder(state: str) -> Path:
    return Path(state) / "index"


def read(place: Path, name: str) -> Taken | None:
    """One of the two rows, None where there is none. ``OLR-IDX-004`` for one that cannot be read."""
    try:
        return msgspec.json.decode((place / name).read_bytes(), type=Taken)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise Failure("OLR-IDX-004", file=place / name, reason=error) from error


def write(place: Path, name: str, row: Taken) -> None:
    write_whole(place / name, msgspec.json.encode(row).decode() + "\n", mode=0o644)


def own(name: str) -> bytes:
    """A file of the index that is part of this program."""
    return resources.files("installers.core.artifacts").joinpath(name).read_bytes()


def own_made() -> int:
    """When the program's own index was made, as versions of signed ones are counted."""
    return msgspec.json.decode(own("made.json"), type=Made).at


def content(place: Path, row: Taken, name: str) -> bytes:
    """A file of a taken index; ``OLR-IDX-004`` unless it is, byte for byte, the one that was accepted."""
    path = place / row.id / name
    try:
        found = path.read_bytes()
    except OSError as error:
        raise Failure("OLR-IDX-004", file=path, reason=error) from error
    if hashlib.sha256(found).hexdigest() != row.sha256.get(name):
        raise Failure("OLR-IDX-004", file=path, reason="it is not the one that was signed")
    return found


def text(name: str, place: str) -> str:
    """A file of the index in use. ``place``: its folder, "" for the program's own."""
    row = read(Path(place), USED) if place else None
    return (content(Path(place), row, name) if row else own(name)).decode()


def outdated(row: Taken) -> bool:
    """Whether this program brings a later index: that one counts then."""
    return row.version < own_made()


def in_use(state: str) -> str:
    """The folder of the index in use, "" for the program's own."""
    row = read(folder(state), USED)
    return "" if row is None or outdated(row) else str(folder(state))


def lapsed(state: str) -> Taken | None:
    """The taken index that does not count, because this program brings a later one."""
    with suppress(Failure):
        row = read(folder(state), USED)
        return row if row and outdated(row) else None
    return None


def stamp() -> str:
    """sha256 over the program's own files, for the test that holds ``made.json`` against them."""
    return hashlib.sha256(json.dumps([own(name).decode() for name in FILES]).encode()).hexdigest()
