"""A fresh workbench for each test."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from installers.core.engine.journal import Journal
from tests.unit.core.engine.workbench import Workbench


def wait_for_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that does not wait for the disk, for thousands of commits. Durability has a test of its own."""
    connect = Journal._connect

    def without_waiting(journal: Journal, mode: str) -> sqlite3.Connection:
        db = connect(journal, mode)  # type: ignore[arg-type]
        db.execute("PRAGMA synchronous=OFF")
        return db

    monkeypatch.setattr(Journal, "_connect", without_waiting)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one test."""
    wait_for_no_disk(monkeypatch)


@pytest.fixture(scope="module")
def hasty_throughout() -> Iterator[None]:
    """In all tests of a module, and in what they share."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        wait_for_no_disk(monkeypatch)
        yield


@pytest.fixture
def bench(tmp_path: Path, hasty: None) -> Workbench:
    return Workbench(tmp_path)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes minutes; left out unless asked for with -m long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Minutes of cutting off every single mutation are for those who ask."""
    if "long" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
