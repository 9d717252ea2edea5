"""Signed indexes: made by whoever publishes one, taken by a user; a depot whose files are an index's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import msgspec

from installers.core.artifacts import inuse
from installers.core.artifacts.depot.contents import FILE, INDEX, Contents
from installers.core.artifacts.depot.keys import publisher
from installers.core.artifacts.depot.open import PREFIXES, Depot, examine, nothing
from installers.core.artifacts.depot.publish import VALID, sign
from installers.core.artifacts.depot.refused import Refused, asked_for
from installers.core.artifacts.depot.trust import Trust
from installers.core.artifacts.disk import remove, sync_tree
from installers.core.artifacts.index import File as IndexFile
from installers.core.artifacts.index import Index, parse_index
from installers.core.artifacts.inuse import FILES, TAKEN, USED, Taken
from installers.core.artifacts.upstream import File as ReleaseFile
from installers.core.artifacts.upstream import Upstream, parse_upstream
from installers.core.engine.lease import lease
from installers.core.errors import Failure
from installers.site import Paths

EDITION = "index"
"""What its contents.json says in place of an edition; an installation from it is refused by the architecture."""


@dataclass(frozen=True, slots=True)
class Change:
    """What another index says differently of one artifact or release; "" where it has none."""

    name: str
    before: str
    after: str


@asked_for("index")
def publish(folder: Path, keys: Path, *, valid: timedelta = VALID) -> str:
    """Lay the program's own index into a directory unless it has one, and sign what is there; the fingerprint.

    ``OLR-BND-008``: the directory holds something else. ``OLR-IDX-001``: its files are no index.
    """
    signer = publisher(keys)
    (folder / INDEX).mkdir(parents=True, exist_ok=True)
    for name in FILES:
        path = folder / INDEX / name
        if not path.exists():
            path.write_bytes(inuse.own(name))
    _parsed({name: (folder / INDEX / name).read_bytes() for name in FILES}, place=str(folder))
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    contents = Contents(EDITION, EDITION, EDITION, (), made, version("olares"))
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(contents), indent=1) + b"\n")
    sign(folder, signer, nothing, valid=valid)
    return signer.fingerprint


@asked_for("index")
def take(place: str, paths: Paths, *, trust: str, arch: str, lock: str) -> Taken:
    """Keep a newer signed index below the state directory; it is in use at once where nothing is installed.

    ``place``: a directory or an address. Nothing is changed when it is refused: OLR-BND-001 to 012, 018
    (signatures, ends, older ones), OLR-IDX-001 (no index this program reads), 002 (nothing for this
    architecture), 003 (the program's own is newer). Killed at any point, the index in use stays.
    ``lock``: path of the lease, held only while the index is switched, so that no run meets two; OLR-RUN-001.
    """
    home = inuse.folder(paths.state)
    depot = examine(place, replace(paths, state=str(home)), trust=trust)
    texts = _texts(depot)
    _require_arch(*_parsed(texts, place=place), arch, place=place)
    stamp = _stamp(depot, home)
    row = Taken(
        hashlib.sha256(stamp).hexdigest()[:32],
        place,
        depot.fingerprint,
        int(json.loads(stamp)["signed"]["version"]),
        depot.expires,
        {name: depot.targets[f"{INDEX}/{name}"].sha256 for name in FILES},
    )
    if inuse.outdated(row):
        raise Failure("OLR-IDX-003", place=place, found=row.version, own=inuse.own_made())
    with lease(lock, verb="index-take"):
        _lay(home, row, texts)
        if depot.seen is not None:
            Trust(home / "trust").keep(depot.fingerprint, depot.seen)
        inuse.write(home, TAKEN, row)
        if not (Path(paths.state) / "site.lock").exists():
            inuse.write(home, USED, row)
        _sweep(home)
    return row


@asked_for("index")
def use(paths: Paths, *, lock: str) -> Taken:
    """Go by the index taken last. ``OLR-IDX-005``: none was; ``OLR-IDX-003``, 004; ``OLR-RUN-001``: during a run."""
    home = inuse.folder(paths.state)
    with lease(lock, verb="index-use"):
        return _put_to_use(home)


def _put_to_use(home: Path) -> Taken:
    row = inuse.read(home, TAKEN)
    if row is None:
        raise Failure("OLR-IDX-005")
    if inuse.outdated(row):
        raise Failure("OLR-IDX-003", place=row.place, found=row.version, own=inuse.own_made())
    for name in FILES:
        inuse.content(home, row, name)
    inuse.write(home, USED, row)
    _sweep(home)
    return row


def drop(paths: Paths, *, lock: str) -> bool:
    """Go back to the program's own index; whom this host trusts, and what it saw of them, stays. Whether one was.

    ``OLR-RUN-001``: during a run.
    """
    home = inuse.folder(paths.state)
    with lease(lock, verb="index-drop"):
        had = (home / USED).exists() or (home / TAKEN).exists()
        for name in (USED, TAKEN):
            (home / name).unlink(missing_ok=True)
        _sweep(home)
    return had


def changes(paths: Paths) -> tuple[Change, ...]:
    """What the index taken last says differently from the one in use."""
    home = inuse.folder(paths.state)
    taken, used = inuse.read(home, TAKEN), inuse.read(home, USED)
    if taken is None or taken == used:
        return ()
    counts = used if used and not inuse.outdated(used) else None
    before = {name: inuse.content(home, counts, name) if counts else inuse.own(name) for name in FILES}
    after = {name: inuse.content(home, taken, name) for name in FILES}
    old, new = (_versions(*_parsed(texts, place=taken.place)) for texts in (before, after))
    names = sorted({*old, *new})
    return tuple(Change(one, old.get(one, ""), new.get(one, "")) for one in names if old.get(one) != new.get(one))


def _versions(index: Index, upstream: Upstream) -> dict[str, str]:
    """Each artifact and release as one says it: its version, and the beginning of a digest over those of its files."""
    artifacts = {name: (one.version, _digests(one.files)) for name, one in index.artifacts.items()}
    releases = {name: (one.version, _digests(one.files)) for name, one in upstream.releases.items()}
    return {name: f"{number} ({digest})" for name, (number, digest) in {**artifacts, **releases}.items()}


def _digests(files: Mapping[str, IndexFile] | Mapping[str, ReleaseFile]) -> str:
    rows = sorted((arch, file.sha256) for arch, file in files.items())
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:8]


def _texts(depot: Depot) -> dict[str, bytes]:
    for name in FILES:
        if depot.target(f"{INDEX}/{name}") is None:
            raise Refused("OLR-BND-010", place=depot.place, missing=f"{INDEX}/{name}", count=1)
    rows = {name: depot.targets[f"{INDEX}/{name}"] for name in FILES}
    if depot.place.startswith(PREFIXES):
        from installers.core.artifacts.depot.remote import reached

        with reached(depot.place) as remote:
            return {name: remote.read(row) for name, row in rows.items()}
    here = replace(depot, own=Path(depot.place))
    return {name: here.small(row) for name, row in rows.items()}


def _parsed(texts: Mapping[str, bytes], *, place: str) -> tuple[Index, Upstream]:
    from yaml import YAMLError

    try:
        return parse_index(texts[FILES[0]].decode()), parse_upstream(texts[FILES[1]].decode())
    except (msgspec.ValidationError, YAMLError, UnicodeDecodeError) as error:
        raise Failure("OLR-IDX-001", place=place, reason=error) from error


def _require_arch(index: Index, upstream: Upstream, arch: str, *, place: str) -> None:
    """Everything the program's own index has for this architecture, the other one must have too."""
    ours = _parsed({name: inuse.own(name) for name in FILES}, place="this program")
    for mine, theirs in ((ours[0].artifacts, index.artifacts), (ours[1].releases, upstream.releases)):
        for name, one in mine.items():
            if not {arch, "all"} & set(one.files):
                continue
            other = theirs.get(name)
            if other is None or not {arch, "all"} & set(other.files):
                raise Failure("OLR-IDX-002", place=place, artifact=name, arch=arch)


def _stamp(depot: Depot, home: Path) -> bytes:
    if depot.seen is not None:
        return depot.seen["timestamp.json"].encode()
    return (Trust(home / "trust").of(depot.fingerprint) / "timestamp.json").read_bytes()


def _lay(home: Path, row: Taken, texts: Mapping[str, bytes]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    scratch = home / f".{row.id}"
    remove(scratch)
    scratch.mkdir()
    for name, content in texts.items():
        (scratch / name).write_bytes(content)
    sync_tree(scratch)
    remove(home / row.id)
    scratch.rename(home / row.id)


def _sweep(home: Path) -> None:
    """What no row names goes: older indexes, and what a killed call left."""
    if not home.is_dir():
        return
    keep = {row.id for name in (USED, TAKEN) if (row := inuse.read(home, name))}
    for path in home.iterdir():
        if path.is_dir() and path.name not in {*keep, "trust"}:
            shutil.rmtree(path)
