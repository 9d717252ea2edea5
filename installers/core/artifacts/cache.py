"""The cache: entries appear whole or not at all, and are believed only by digests kept elsewhere."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from installers.core.artifacts.disk import free_bytes, remove, sync, sync_tree, write_whole
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, Held, parse_built

MARGIN = 64 << 20
"""Bytes of disk asked for beyond a fetched file itself."""

_WAIT = 2 * 3600.0
"""Seconds a second builder waits for the first; longer than any build."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a file must be: its path, sha256 in hex and size in bytes (0: unknown)."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Cache:
    """Entries below ``root``; digests of what was built here below ``ledger``, apart from the bytes."""

    root: Path
    ledger: Path

    @contextmanager
    def lock(self, name: str, report: Report) -> Iterator[Report]:
        """Hold an entry's lock; meanwhile a second holder-to-be shows the first one's progress.

        Yields the report to use: it also tells those who wait. The kernel frees the lock of a
        killed holder. ``OLR-ART-003`` after two hours.
        """
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        told = locks / f"{name}.progress"
        with (locks / f"{name}.lock").open("w") as held:
            _wait(held.fileno(), told, report, name=name)
            try:
                yield _Told(report, told)
            finally:
                told.unlink(missing_ok=True)

    def is_lock(self, name: str) -> bool:
        """Whether there is, or was, an entry being made under this name."""
        return (self.root / "locks" / f"{name}.lock").is_file()

    @contextmanager
    def free_lock(self, name: str) -> Iterator[bool]:
        """Hold an entry's lock if nobody else does; yields whether that is so."""
        with (self.root / "locks" / f"{name}.lock").open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def reserve(self, needed: int, *, where: Path) -> None:
        """Ask for ``needed`` bytes of disk before they are used: ``OLR-ART-002`` when they are not there."""
        free = free_bytes(where)
        if free < needed:
            raise Failure("OLR-ART-002", path=where, needed=_mib(needed), free=_mib(free))

    def place(self, made: Path, name: str) -> Path:
        """Make a finished file or directory an entry: flushed to disk, then renamed."""
        final = self.root / name
        final.parent.mkdir(parents=True, exist_ok=True)
        sync_tree(made)
        made.rename(final)
        sync(final.parent)
        return final

    def aside(self, path: Path) -> Path:
        """Move an entry that is not what its record says out of the way, for a person to look at."""
        target = self.root / "aside" / f"{time.strftime('%Y%m%dT%H%M%S')}-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            remove(target)
        path.rename(target)
        return target

    def sound(self, entry: Path, records: tuple[Record, ...], report: Report, *, name: str) -> bool:
        """Whether an entry's files are what their records say. Another one is moved aside whole, and that is told."""
        state = verify_all(records)
        if state is Held.DIFFERS:
            where = self.aside(entry)
            report(0, 0, "bytes", f"{name} was not what is recorded of it; kept aside as {where}, made anew")
        return state is Held.GOOD

    def temporary(self, name: str) -> Path:
        """An empty directory on the cache's own file system; what a killed run left there is gone."""
        path = self.root / "temporary" / name
        remove(path)
        path.mkdir(parents=True)
        return path

    def folder(self, recipe: str, key: str) -> str:
        """The name below ``root`` of what a recipe key builds."""
        return f"built/{slug(recipe)}-{key[:16]}"

    def record_path(self, recipe: str, key: str) -> Path:
        return self.ledger / f"{slug(recipe)}-{key[:16]}.json"

    def recorded(self, recipe: str, key: str) -> Built | None:
        """The ledger's row of a build, None before the first one or when the row is unreadable."""
        try:
            row = parse_built(self.record_path(recipe, key).read_text())
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return row if row.key == key else None

    def record(self, built: Built) -> None:
        """Write a build's row as one step; everybody may read it, so that anyone can make a plan."""
        path = self.record_path(built.recipe, built.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(built), indent=1) + "\n", mode=0o644)

    def files(self, built: Built) -> tuple[Record, ...]:
        """A build's files with what they must be."""
        folder = self.root / self.folder(built.recipe, built.key)
        return tuple(Record(folder / file.name, file.sha256, file.size) for file in built.files)


@dataclass(slots=True)
class _Told:
    """A report that is also written where those who wait for the lock can read it."""

    report: Report
    path: Path
    last: float = 0.0
    text: str = ""

    def __call__(self, done: int, total: int, unit: str, text: str = "") -> None:
        self.report(done, total, unit, text)
        now = time.monotonic()
        if now - self.last >= 0.5 or text != self.text:
            self.last, self.text = now, text
            beside = self.path.with_suffix(".progress.new")
            beside.write_text(json.dumps([done, total, unit, text]))
            beside.rename(self.path)


def _wait(descriptor: int, told: Path, report: Report, *, name: str) -> None:
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        if time.monotonic() > deadline:
            raise Failure("OLR-ART-003", entry=name, minutes=round(_WAIT / 60))
        with suppress(FileNotFoundError, ValueError):
            done, total, unit, text = json.loads(told.read_text())
            report(done, total, unit, f"made by another run: {text}")
        time.sleep(0.2)


def verify(record: Record) -> Held:
    """Compare a file with its record, reading it to the end."""
    try:
        if record.path.stat().st_size != (record.size or record.path.stat().st_size):
            return Held.DIFFERS
        return Held.GOOD if digest(record.path) == record.sha256 else Held.DIFFERS
    except (FileNotFoundError, NotADirectoryError):
        return Held.ABSENT


def verify_all(records: tuple[Record, ...]) -> Held:
    """The worst of several files, read at the same time."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        states = set(pool.map(verify, records))
    return next((state for state in (Held.ABSENT, Held.DIFFERS) if state in states), Held.GOOD)


def digest(path: Path) -> str:
    """sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slug(recipe: str) -> str:
    """A recipe's name as one word of a path."""
    return recipe.replace("/", "-")


def _mib(size: int) -> int:
    return -(-size // (1 << 20))
