"""Out of a depot into the cache: each file compared with its signed digest while it is copied."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from installers.core.artifacts.cache import Cache, Record, digest, verify_all
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.disk import remove
from installers.core.artifacts.report import Report
from installers.core.facts.artifacts import Built, Held

_CHUNK = 1 << 20
_MARGIN = 64 << 20


class Supply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: where it lies, its path below the cache, and what the depot's signatures say it is."""

    source: str
    entry: str
    sha256: str
    size: int


def take(name: str, supplies: tuple[Supply, ...], built: Built | None, *, cache: Cache, report: Report) -> None:
    """Put files into the cache as one entry, and into the ledger what was built elsewhere.

    ``OLR-BND-010``: a file is not there (the stick is out). ``OLR-BND-009``: it is not the one that was signed.
    """
    records = tuple(Record(cache.root / one.entry, one.sha256, one.size) for one in supplies)
    lock = supplies[0].entry.replace("/", "-") if built is None else f"built-{built.key[:16]}"
    with cache.lock(lock, report) as told:
        if built:
            # First, as a build does: no entry is ever unknown.
            cache.record(built)
        if verify_all(records) is Held.GOOD:
            return
        cache.reserve(sum(one.size for one in supplies) + _MARGIN, where=cache.root)
        scratch = cache.temporary(f"take-{lock}")
        try:
            _copy_all(name, supplies, scratch, cache, told)
            for entry in dict.fromkeys(_top(one.entry) for one in supplies):
                if (cache.root / entry).exists():
                    cache.aside(cache.root / entry)
                cache.place(scratch / entry, entry)
        finally:
            remove(scratch)


def _copy_all(name: str, supplies: tuple[Supply, ...], scratch: Path, cache: Cache, report: Report) -> None:
    total, done = sum(one.size for one in supplies), 0
    for one in supplies:
        target = scratch / one.entry
        target.parent.mkdir(parents=True, exist_ok=True)
        source = Path(one.source)
        if source.is_symlink() or not source.is_file():
            raise Refused("OLR-BND-010", place=source.parent, missing=source.name, count=1)
        if not _linked(source, target, cache):
            _copy(source, target, one.size)
        found = digest(target)
        if found != one.sha256 or target.stat().st_size != one.size:
            raise Refused("OLR-BND-009", place=source.parent, file=source.name, found=found)
        done += one.size
        report(done, total, "bytes", name)


def _linked(source: Path, target: Path, cache: Cache) -> bool:
    """Another name for a file that is our own already; never for one of somebody else's, who may change it."""
    if not source.resolve().is_relative_to((cache.root / "bundles").resolve()):
        return False
    with suppress(OSError):
        os.link(source, target)
        return True
    return False


def _copy(source: Path, target: Path, size: int) -> None:
    """Copy at most one byte more than signed: a longer file shows, and fills no disk."""
    left = size + 1
    with source.open("rb") as file, target.open("xb") as copy:
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            copy.write(chunk)
            left -= len(chunk)


def _top(entry: str) -> str:
    """What is placed as one: the folder of a build, or a fetched file."""
    return "/".join(entry.split("/")[:2])
