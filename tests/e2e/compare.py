"""Two snapshots of a machine against each other, minus the exceptions in one data file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.inside import ROOT, Inside

PROGRAM = Path(__file__).with_name("snapshot.py")
EXCEPTIONS = ROOT / "tests/data/e2e/exceptions.yaml"
Snapshot = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exempt:
    """One entry: a name of a snapshot; ``below``: everything under one path; ``begins``: all such names.

    ``debian``: the one version of Debian it is about, "" for all. ``package``: one without which it does not
    concern a machine. ``by_chance``: two programs race for it, so it may match nothing.
    """

    reason: str
    owner: str
    name: str = ""
    below: str = ""
    begins: str = ""
    debian: str = ""
    package: str = ""
    by_chance: bool = False

    def covers(self, name: str) -> bool:
        if self.begins:
            return name.startswith(self.begins)
        if self.below:
            return name == f"path {self.below}" or name.startswith(f"path {self.below}/")
        return name == self.name


@dataclass(frozen=True, slots=True)
class Rules:
    """What is not looked at (other people's file systems), what moves by itself, what an uninstall leaves,
    what each installation generates for itself."""

    skipped: Mapping[str, str]
    unsteady: tuple[Exempt, ...]
    leaves: tuple[Exempt, ...]
    generated: tuple[Exempt, ...]


@cache
def rules() -> Rules:
    """The data file. Unknown keys are refused by the constructors."""
    data: dict[str, Any] = yaml.safe_load(EXCEPTIONS.read_text())
    rows = {kind: tuple(Exempt(**row) for row in data.pop(kind)) for kind in ("unsteady", "leaves", "generated")}
    skipped = {row["path"]: row["reason"] for row in data.pop("skipped")}
    assert not data, f"{EXCEPTIONS.name}: unknown {', '.join(data)}"
    return Rules(skipped, **rows)


def take(inside: Inside, *, skipped: Sequence[str] = ()) -> Snapshot:
    """The machine as it is now; the program is handed to python3 and never touches its disk."""
    words = ("python3", "-c", PROGRAM.read_text(), *rules().skipped, *skipped)
    found: Snapshot = json.loads(inside.run(*words, timeout=300).out)
    return found


def take_installed(inside: Inside) -> Snapshot:
    """The same of a machine with everything installed, without the trees each installation fills for itself."""
    return take(inside, skipped=[exempt.below for exempt in rules().generated if exempt.below])


def differences(before: Snapshot, after: Snapshot) -> dict[str, str]:
    """Name → what happened, without what moves by itself."""
    moving = _of(before, rules().unsteady)
    return {name: said for name, said in _all(before, after) if not any(exempt.covers(name) for exempt in moving)}


def _of(snapshot: Snapshot, exempts: Sequence[Exempt]) -> tuple[Exempt, ...]:
    """Those that are about this machine's Debian and what is installed on it."""
    version = snapshot.get("package base-files", "- -").split()[1].partition(".")[0]
    here = (exempt for exempt in exempts if not exempt.package or f"package {exempt.package}" in snapshot)
    return tuple(exempt for exempt in here if exempt.debian in ("", version))


def _all(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, str]]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield name, "gone"
        elif name not in before:
            yield name, f"new: {after[name]}"
        elif before[name] != after[name]:
            yield name, f"{before[name]} -> {after[name]}"


def remainder(before: Snapshot, after: Snapshot) -> tuple[dict[str, str], list[str]]:
    """What an uninstall left that no exception covers, and the exceptions that matched nothing."""
    found = differences(before, after)
    used: set[Exempt] = set()
    leaves = _of(before, rules().leaves)
    rest = {}
    for name, said in found.items():
        covering = [exempt for exempt in leaves if exempt.covers(name)]
        used.update(covering)
        if not covering:
            rest[name] = said
    stale = [entry for entry in leaves if entry not in used and not entry.by_chance]
    return rest, [entry.name or entry.below or entry.begins for entry in stale]


def same_end(one: Snapshot, other: Snapshot) -> dict[str, str]:
    """How two installed machines differ, without what each installation generates for itself."""
    made = rules().generated
    return {
        name: said
        for name, said in differences(one, other).items()
        if not any(exempt.covers(name) for exempt in (*made, *rules().leaves))
    }


def unknown_unsteady(*snapshots: Snapshot) -> list[str]:
    """Entries about things that none of these snapshots has."""
    names = {name for snapshot in snapshots for name in snapshot}
    return [
        entry.name or entry.below or entry.begins
        for entry in _of(snapshots[0], rules().unsteady)
        if not any(entry.covers(name) for name in names)
    ]


def listed(found: Mapping[str, str], limit: int = 30) -> str:
    """Differences for a message."""
    rows = [f"  {name}: {said[:160]}" for name, said in found.items()]
    return "\n".join([f"{len(rows)} differences", *rows[:limit]])
