"""What the guest is, before and after: the picture e2e takes of a machine, and the kernel's modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.vm.assemble import ROOT
from tests.vm.guest import Guest

PROGRAM = ROOT / "tests/e2e/snapshot.py"
RULES = ROOT / "tests/data/vm/remainder.yaml"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A difference nobody minds: a name in a picture, or the beginning of names ending in ``*``; and why."""

    name: str
    reason: str

    def covers(self, name: str) -> bool:
        return name.startswith(self.name[:-1]) if self.name.endswith("*") else name == self.name


@dataclass(frozen=True, slots=True)
class Rules:
    """Trees that are not looked at, and what moves by itself or is left on purpose."""

    skipped: Mapping[str, str]
    allowed: tuple[Allowed, ...]


@cache
def rules() -> Rules:
    """The data file; unknown keys are refused by the constructors."""
    data: dict[str, Any] = yaml.safe_load(RULES.read_text())
    allowed = tuple(Allowed(**row) for row in data.pop("allowed"))
    return Rules(allowed=allowed, **data)


def take(guest: Guest) -> dict[str, str]:
    """The guest as it is now; the program is handed to python3 and never touches its disk."""
    found: dict[str, str] = json.loads(guest.run("python3", "-c", PROGRAM.read_text(), *rules().skipped).out)
    return found | {f"module {name}": "loaded" for name in modules(guest)}


def modules(guest: Guest) -> set[str]:
    """The kernel modules that are loaded."""
    return {line.split()[0] for line in guest.run("cat", "/proc/modules").lines}


def remainder(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Name → what it was and is, without what the rules allow."""
    return {
        name: f"{before.get(name, 'not there')} -> {after.get(name, 'gone')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and not any(row.covers(name) for row in rules().allowed)
    }


def read(path: Path) -> dict[str, str]:
    """A picture kept in a file."""
    found: dict[str, str] = json.loads(path.read_text())
    return found
