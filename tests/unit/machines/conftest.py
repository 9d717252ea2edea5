"""A desk for every test that asks for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.machines.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk.laid(tmp_path, monkeypatch)
