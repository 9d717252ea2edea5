"""What the cache holds, checked against digests kept elsewhere: the index, or the ledger of builds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from installers.core.model import Probe, Unknown


class Held(StrEnum):
    """Whether the cache has a thing: as recorded, not at all, or with other content."""

    GOOD = "good"
    ABSENT = "absent"
    DIFFERS = "differs"


def held(probe: Probe, path: str, *, sha256: str, size: int) -> Held:
    """Compare one file with its record; reads it to the end when the size is right (0: unknown)."""
    stat = probe.stat(path)
    if stat is None:
        return Held.ABSENT
    if not stat.is_file or stat.size != (size or stat.size) or probe.digest(path) != sha256:
        return Held.DIFFERS
    return Held.GOOD


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A fetched file in the cache, by the digest the index gives it. Value: ``Held``."""

    costly: ClassVar[bool] = True

    path: str
    sha256: str
    size: int

    def load(self, probe: Probe) -> Held | Unknown:
        return held(probe, self.path, sha256=self.sha256, size=self.size)


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One output of a build. ``image``: the manifest digest (``sha256:…``) of an image, else ""."""

    name: str
    sha256: str
    size: int
    image: str = ""


@dataclass(frozen=True, slots=True)
class Built:
    """What the ledger says of one recipe key; ``at``: seconds since the epoch."""

    recipe: str
    key: str
    files: tuple[BuiltFile, ...]
    seconds: float
    at: float

    def file(self, name: str) -> BuiltFile:
        """The output of that name; ``KeyError`` when the recipe makes no such thing."""
        for file in self.files:
            if file.name == name:
                return file
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Holding:
    """A build's record, None before the first one, and whether the cache still has its files."""

    record: Built | None
    held: Held


@dataclass(frozen=True, slots=True)
class BuiltRecord:
    """What the ledger says was built from a recipe; None before the first build."""

    record: str

    def load(self, probe: Probe) -> Built | Unknown | None:
        if probe.stat(self.record) is None:
            return None
        try:
            return parse_built(probe.read(self.record).decode())
        except (ValueError, KeyError, TypeError) as error:
            return Unknown(f"{self.record} cannot be read as a record of a build: {error}")


@dataclass(frozen=True, slots=True)
class BuiltEntry:
    """What was built from a recipe: ``record`` is the ledger's file, ``folder`` the cache's directory."""

    costly: ClassVar[bool] = True

    record: str
    folder: str

    def load(self, probe: Probe) -> Holding | Unknown:
        built = BuiltRecord(self.record).load(probe)
        if built is None:
            return Holding(None, Held.ABSENT)
        if isinstance(built, Unknown):
            return built
        states = [held(probe, f"{self.folder}/{file.name}", sha256=file.sha256, size=file.size) for file in built.files]
        worst = next((s for s in (Held.ABSENT, Held.DIFFERS) if s in states), Held.GOOD)
        return Holding(built, worst)


def parse_built(text: str) -> Built:
    """A ledger row from its JSON."""
    row = json.loads(text)
    files = tuple(BuiltFile(**file) for file in row["files"])
    return Built(row["recipe"], row["key"], files, float(row["seconds"]), float(row["at"]))
