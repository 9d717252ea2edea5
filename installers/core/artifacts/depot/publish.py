"""Signing a depot directory: which files, with which digests, until when."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from installers.core.artifacts.cache import digest
from installers.core.artifacts.depot.contents import FILE, METADATA, Target, is_safe
from installers.core.artifacts.depot.keys import Publisher
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.disk import sync, write_whole
from installers.core.artifacts.report import Report

VALID = timedelta(days=400)
"""How long a depot can be taken up for the first time: a stick made once a year, and a month to be late."""


def sign(folder: Path, publisher: Publisher, report: Report, *, valid: timedelta = VALID) -> None:
    """Make the TUF repository over a depot directory, or renew it: all its files, digests taken now.

    ``OLR-BND-008`` for a file that has no place in a depot.
    """
    paths = sorted(_files(folder))
    sizes = {path: (folder / path).stat().st_size for path in paths}
    total, done = sum(sizes.values()), 0
    targets: dict[str, TargetFile] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = pool.map(lambda path: digest(folder / path), paths)
        for path, sha256 in zip(paths, found, strict=True):
            targets[path] = TargetFile(sizes[path], {"sha256": sha256}, path)
            done += sizes[path]
            report(done, total, "bytes", f"signing {path}")
    renew(folder, publisher, targets, valid=valid)


def renew(folder: Path, publisher: Publisher, targets: Mapping[str, TargetFile], *, valid: timedelta = VALID) -> None:
    """Sign these targets anew as a later version; the timestamp comes last, until then the old ones are in force."""
    place = folder / METADATA
    place.mkdir(exist_ok=True)
    version = max(round(time.time()), latest(place) + 1)
    expires = datetime.now(UTC).replace(microsecond=0) + valid
    for number, root in enumerate(publisher.roots, start=1):
        write_whole(place / f"{number}.root.json", root.decode(), mode=0o644)
    listed = _signed(Metadata(Targets(version=version, expires=expires, targets=dict(targets))), publisher)
    snapshot = Snapshot(version=version, expires=expires, meta={f"{Targets.type}.json": _meta(version, listed)})
    taken = _signed(Metadata(snapshot), publisher)
    timestamp = Timestamp(version=version, expires=expires, snapshot_meta=_meta(version, taken))
    stamp = _signed(Metadata(timestamp), publisher)
    write_whole(place / f"{version}.targets.json", listed.decode(), mode=0o644)
    write_whole(place / f"{version}.snapshot.json", taken.decode(), mode=0o644)
    write_whole(place / "timestamp.json", stamp.decode(), mode=0o644)
    keep = {f"{version}.targets.json", f"{version}.snapshot.json", "timestamp.json"}
    for path in place.iterdir():
        if path.name not in keep and not path.name.endswith(".root.json"):
            path.unlink()
    sync(place)


def latest(place: Path) -> int:
    """The version a metadata directory has, 0 without one that can be read."""
    with suppress(OSError, ValueError, KeyError):
        import json

        return int(json.loads((place / "timestamp.json").read_bytes())["signed"]["version"])
    return 0


def targets_of(folder: Path, publisher: Publisher) -> dict[str, TargetFile]:
    """The targets a depot names, if this publisher signed them, with present or former keys; expired or not.

    ``OLR-BND-005`` otherwise: nobody signs again what somebody else has put there.
    """
    place = folder / METADATA
    try:
        metadata = Metadata[Targets].from_bytes((place / f"{latest(place)}.targets.json").read_bytes())
    except (OSError, RepositoryError) as error:
        raise Refused("OLR-BND-002", place=folder, reason=error) from error
    for root in publisher.roots:
        with suppress(UnsignedMetadataError):
            delegator = Metadata[Root].from_bytes(root).signed
            delegator.verify_delegate(Targets.type, metadata.signed_bytes, metadata.signatures)
            return dict(metadata.signed.targets)
    reason = "its list of files is not signed by these keys"
    raise Refused("OLR-BND-005", place=folder, reason=reason, fingerprint=publisher.fingerprint)


def _signed(metadata: Metadata[Any], publisher: Publisher) -> bytes:
    metadata.sign(publisher.depot)
    return metadata.to_bytes()


def _meta(version: int, content: bytes) -> MetaFile:
    return MetaFile.from_data(version, content, ["sha256"])


def _files(folder: Path) -> Iterator[str]:
    if not (folder / FILE).is_file():
        raise Refused("OLR-BND-002", place=folder, reason=f"it has no {FILE}")
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == METADATA or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or not path.is_file() or not is_safe(name):
            raise Refused("OLR-BND-008", place=folder, member=name, reason="it has no place in a depot")
        yield name


def listed(targets: Mapping[str, TargetFile]) -> dict[str, Target]:
    """The same targets as a reader knows them."""
    return {path: Target(path, one.hashes["sha256"], one.length) for path, one in targets.items()}


def compare(folder: Path, targets: Mapping[str, TargetFile], report: Report) -> None:
    """Refuse to sign again what is not there, or not as it was signed: OLR-BND-009, 010."""
    for path, target in listed(targets).items():
        file = folder / path
        if not file.is_file() or file.is_symlink():
            raise Refused("OLR-BND-010", place=folder, missing=path, count=1)
        if (found := digest(file)) != target.sha256:
            raise Refused("OLR-BND-009", place=folder, file=path, found=found)
        report(0, 0, "bytes", f"comparing {path}")
