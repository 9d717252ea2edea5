"""Verifying a depot's metadata as TUF's client does, from a directory or a web server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tuf.api import exceptions
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from installers.core.artifacts.depot.contents import LIMIT, Target
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.depot.trust import fingerprint, kept_targets
from installers.core.artifacts.fetch import BROKEN
from installers.core.artifacts.fetch.line import Line
from installers.core.artifacts.fetch.mirrors import public
from installers.core.errors import Failure

_CHUNK = 1 << 16


class FileFetcher(FetcherInterface):
    """Metadata out of a directory; ``prefix`` is what addresses begin with."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.removeprefix(self._prefix)
        path = self._folder / name
        if "/" in name or path.is_symlink() or not path.is_file():
            raise exceptions.DownloadHTTPError(f"there is no {name}", 404)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


class HttpFetcher(FetcherInterface):
    """Metadata from a web server, over the fetcher's own line: its proxies, its patience."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def _fetch(self, url: str) -> Iterator[bytes]:
        with closing(self._line.get(url, {})) as answer:
            if answer.status != 200:
                raise exceptions.DownloadHTTPError(f"{public(url)} answered {answer.status}", answer.status)
            while chunk := answer.read(_CHUNK):
                yield chunk


def document(fetcher: FetcherInterface, url: str, *, place: str) -> bytes:
    """One metadata file as it is there, unverified. ``OLR-BND-002`` where there is none, 018 when it is not reached."""
    try:
        return fetcher.download_bytes(url, LIMIT)
    except exceptions.DownloadHTTPError as error:
        reason = f"it has no metadata/{url.rpartition('/')[2]}"
        raise Refused("OLR-BND-002", place=place, reason=reason) from error
    except (exceptions.DownloadError, *BROKEN) as error:
        raise Failure("OLR-BND-018", place=place, reason=error) from error


def targets(fetcher: FetcherInterface, base: str, *, root: bytes, kept: Path, place: str) -> dict[str, Target]:
    """The targets that a depot's signatures name, by path.

    ``root``: the first root, which the caller trusts. ``kept``: what was seen before of this publisher; it
    is brought up to date, and refuses what is older. Raises OLR-BND-005 (signatures), 006 (older than seen),
    007 (expired), 012 (parts of different versions), 002 (parts missing), 018 (not reached).
    """
    seen = _version(kept / "timestamp.json")
    config = UpdaterConfig(
        *(256, 0, LIMIT, LIMIT, LIMIT, LIMIT),
        prefix_targets_with_hash=False,
    )
    name = fingerprint(root)
    try:
        updater = Updater(str(kept), base, fetcher=fetcher, config=config, bootstrap=root)
        updater.refresh()
    except exceptions.ExpiredMetadataError as error:
        raise Refused("OLR-BND-007", place=place, reason=error) from error
    except exceptions.UnsignedMetadataError as error:
        raise Refused("OLR-BND-005", place=place, reason=error, fingerprint=name) from error
    except exceptions.BadVersionNumberError as error:
        claimed = _claimed(fetcher, base)
        if seen and claimed < seen:
            raise Refused("OLR-BND-006", place=place, found=claimed, seen=seen) from error
        raise Refused("OLR-BND-012", place=place, reason=error) from error
    except exceptions.DownloadHTTPError as error:
        raise Refused("OLR-BND-002", place=place, reason=f"a part of its metadata is missing: {error}") from error
    except exceptions.DownloadLengthMismatchError as error:
        raise Refused("OLR-BND-012", place=place, reason=error) from error
    except exceptions.DownloadError as error:
        raise Failure("OLR-BND-018", place=place, reason=error.__cause__ or error) from error
    except exceptions.RepositoryError as error:
        raise Refused("OLR-BND-012", place=place, reason=error) from error
    return kept_targets(kept, place=place)


def _version(path: Path) -> int:
    try:
        return int(json.loads(path.read_bytes())["signed"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _claimed(fetcher: FetcherInterface, base: str) -> int:
    """The version a depot says it has; only for the message."""
    try:
        return int(json.loads(fetcher.download_bytes(f"{base}timestamp.json", LIMIT))["signed"]["version"])
    except (exceptions.DownloadError, *BROKEN, ValueError, KeyError, TypeError):
        return 0
