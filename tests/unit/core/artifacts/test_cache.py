"""Entries appear whole, and are believed by their records only."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from pathlib import Path

import pytest

from installers.core.artifacts.cache import Cache, Record, digest, verify, verify_all
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, BuiltFile, Held


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", tmp_path / "ledger")


class Said(list[tuple[int, int, str, str]]):
    """A report that remembers."""

    def __call__(self, done: int, total: int, unit: str, text: str = "") -> None:
        self.append((done, total, unit, text))


def _entry(cache: Cache, content: bytes) -> tuple[Path, Record]:
    made = cache.temporary("made")
    (made / "file").write_bytes(content)
    sha256 = digest(made / "file")
    place = cache.place(made, "built/thing")
    return place, Record(place / "file", sha256, len(content))


def test_an_entry_is_verified_by_its_record(cache: Cache) -> None:
    place, record = _entry(cache, b"content")
    assert verify(record) is Held.GOOD
    record.path.write_bytes(b"CONTENT")
    assert verify(record) is Held.DIFFERS
    record.path.write_bytes(b"cont")
    assert verify(record) is Held.DIFFERS
    aside = cache.aside(place)
    assert verify(record) is Held.ABSENT
    assert (aside / "file").read_bytes() == b"cont"


def test_the_worst_of_several_files_counts(cache: Cache) -> None:
    _, record = _entry(cache, b"content")
    missing = Record(record.path.with_name("missing"), record.sha256, record.size)
    wrong = Record(record.path, "0" * 64, record.size)
    assert verify_all((record,)) is Held.GOOD
    assert verify_all((record, wrong)) is Held.DIFFERS
    assert verify_all((record, wrong, missing)) is Held.ABSENT


def test_what_a_killed_run_left_half_made_is_not_in_the_way(cache: Cache) -> None:
    (cache.temporary("made") / "half").write_text("half")
    assert not list(cache.temporary("made").iterdir())


def test_the_ledger_keeps_its_rows_apart_from_the_bytes(cache: Cache) -> None:
    built = Built("a/b", "k" * 64, (BuiltFile("image.tar", "0" * 64, 5, "sha256:1"),), 1.5, 1000.0)
    assert cache.recorded("a/b", "k" * 64) is None
    cache.record(built)
    assert cache.recorded("a/b", "k" * 64) == built
    assert not cache.root.exists()
    path = cache.record_path("a/b", "k" * 64)
    assert path.stat().st_mode & 0o777 == 0o644  # a plan reads it, whoever makes it
    path.write_text(path.read_text()[:40])
    assert cache.recorded("a/b", "k" * 64) is None


def test_too_little_disk_is_said_before_it_is_used(cache: Cache) -> None:
    cache.reserve(1, where=cache.root)
    with pytest.raises(Failure) as caught:
        cache.reserve(1 << 60, where=cache.root)
    assert caught.value.id == "OLR-ART-002"
    assert f"{1 << 40} MiB are needed" in caught.value.what


def test_a_second_builder_waits_and_shows_the_first_ones_progress(cache: Cache) -> None:
    first, second = Said(), Said()
    order: list[str] = []

    def wait() -> None:
        with cache.lock("thing", second):
            order.append("second")

    with cache.lock("thing", first) as told:
        told(3, 10, "packages", "Thing")
        waiting = threading.Thread(target=wait)
        waiting.start()
        deadline = time.monotonic() + 5
        while not second and time.monotonic() < deadline:
            time.sleep(0.01)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]
    assert (3, 10, "packages", "made by another run: Thing") in second
    assert first == [(3, 10, "packages", "Thing")]


def test_the_lock_of_a_killed_builder_is_free(cache: Cache) -> None:
    locks = cache.root / "locks"
    locks.mkdir(parents=True)
    (locks / "thing.progress").write_text(json.dumps([1, 2, "steps", "left"]))
    with (locks / "thing.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
    said = Said()
    with cache.lock("thing", said):
        pass
    assert said == []
    assert not (locks / "thing.progress").exists()
