"""Recorded hosts: where they lie, and what this program makes of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from installers.core.host.archive import Archive, decode

HOSTS = Path(__file__).parents[1] / "data/hosts"
NAMES = tuple(sorted(path.stem for path in HOSTS.glob("*.yaml") if not path.name.endswith(".expect.yaml")))


@cache
def host(name: str) -> Archive:
    """A recording by name; read once."""
    path = HOSTS / f"{name}.yaml"
    return decode(path.read_text(), path=str(path))


@cache
def expected(name: str) -> dict[str, Any]:
    """What somebody wrote by hand about a recording."""
    return dict(yaml.safe_load((HOSTS / f"{name}.expect.yaml").read_text()))
