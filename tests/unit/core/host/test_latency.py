"""Measuring the disk: arithmetic, bounds, and what is left when it goes wrong."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from installers.core.errors import Failure
from installers.core.facts.storage import parse_measured
from installers.core.host import latency
from installers.core.host.latency import (
    BLOCK,
    LARGEST,
    PREFIX,
    SECONDS,
    Latencies,
    measure,
    measure_and_note,
    percentile,
    summed_up,
    sweep,
    timed,
    trial_file,
)


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([3.0], 0.99, 3.0),
        ([2.0, 1.0], 0.5, 1.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 102)], 0.99, 100.0),
        ([0.001] * 98 + [9.0, 9.0], 0.99, 9.0),
        ([0.001] * 99 + [9.0], 0.99, 0.001),
    ],
)
def test_a_percentile_is_a_value_that_was_seen(values: list[float], share: float, found: float) -> None:
    assert percentile(values, share) == found


def test_one_slow_write_of_many_is_the_worst_and_not_the_99th() -> None:
    assert summed_up([0.001] * 199 + [0.5]) == Latencies(200, 0.001, 0.001, 0.5)


class Disk:
    """Each write takes so long, by its own clock."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds, self.writes = 0.0, seconds, 0

    def clock(self) -> float:
        return self.now

    def write(self) -> None:
        self.now += self.seconds
        self.writes += 1


def test_a_quick_disk_is_bounded_by_bytes_and_a_slow_one_by_time() -> None:
    quick, slow, stuck = Disk(1e-6), Disk(0.25), Disk(60.0)
    assert len(timed(quick.write, clock=quick.clock)) * BLOCK <= LARGEST
    assert quick.writes == LARGEST // BLOCK
    assert timed(slow.write, clock=slow.clock) == [0.25] * int(SECONDS / 0.25)
    assert timed(stuck.write, clock=stuck.clock) == [60.0]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less to write: what is tested is not how much."""
    monkeypatch.setattr(latency, "LARGEST", 20 * BLOCK)
    monkeypatch.setattr(latency, "SECONDS", 0.2)


def left(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.usefixtures("few")
def test_it_is_measured_noted_and_nothing_stays(tmp_path: Path) -> None:
    disk, note = tmp_path / "state", tmp_path / "cache/measured/fsync.json"
    disk.mkdir()
    found = measure_and_note(str(disk), str(note))
    assert 1 <= found.count <= 20
    assert 0 < found.median <= found.p99 <= found.worst
    assert left(disk) == []
    read = parse_measured(note.read_text())
    assert read is not None
    assert (read.device, read.count) == (disk.stat().st_dev, found.count)
    assert json.loads(note.read_text())["p99"] == found.p99


def refuse(number: int) -> Callable[..., Any]:
    def call(*args: object, **kwargs: object) -> Any:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("broken", "number"),
    [
        ("tempfile.mkstemp", errno.EROFS),
        ("os.posix_fallocate", errno.ENOSPC),
        ("os.write", errno.ENOSPC),
        ("os.fdatasync", errno.EIO),
    ],
)
def test_a_disk_that_takes_no_file_is_said_and_nothing_stays(
    broken: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"installers.core.host.latency.{broken}", refuse(number))
    with pytest.raises(Failure, match="OLR-DISK-001") as caught:
        measure(str(tmp_path))
    monkeypatch.undo()
    assert os.strerror(number) in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.usefixtures("few")
def test_a_file_system_that_cannot_take_room_beforehand_is_measured_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP))
    assert measure(str(tmp_path)).count >= 1


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that never answers, until the test is over."""
    free = threading.Event()
    monkeypatch.setattr("installers.core.host.latency.os.fdatasync", lambda descriptor: free.wait(10))
    yield free
    free.set()


@pytest.mark.usefixtures("few", "hung")
def test_a_disk_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="OLR-DISK-002"):
        measure(str(tmp_path), deadline=0.05)


@pytest.mark.usefixtures("few")
def test_what_a_killed_measurement_left_goes_and_one_that_goes_on_stays(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}dead").write_bytes(b"x")
    (tmp_path / "mine").write_bytes(b"x")
    with trial_file(str(tmp_path)):
        assert len(left(tmp_path)) == 2
        with (tmp_path / f"{PREFIX}other").open("wb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            sweep(str(tmp_path))
            assert f"{PREFIX}other" in left(tmp_path)
            assert len(left(tmp_path)) == 3
    sweep(str(tmp_path))
    assert left(tmp_path) == ["mine"]
