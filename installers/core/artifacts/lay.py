"""Laying a recipe's files into a stage: the tree that is then copied into the throw-away root."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from installers.core.artifacts.recipes import FromArtifact, Planned
from installers.core.errors import Failure


@dataclass(frozen=True, slots=True)
class Entry:
    """One regular file of an archive: its path there and its permissions (0 where the archive has none)."""

    path: str
    mode: int


class Archive:
    """A wheel (zip) or an npm package (tar.gz), read only, a piece at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file) if zipfile.is_zipfile(file) else None
        if self._zip is None:
            file.seek(0)
        self._tar = None if self._zip else tarfile.open(fileobj=file)  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        for archive in (self._zip, self._tar):
            if archive:
                archive.close()

    def entries(self) -> Iterator[Entry]:
        if self._zip:
            for row in self._zip.infolist():
                if not row.is_dir():
                    yield Entry(row.filename, stat.S_IMODE(row.external_attr >> 16))
        if self._tar:
            for member in self._tar.getmembers():
                if member.isreg():
                    yield Entry(member.name.removeprefix("./"), stat.S_IMODE(member.mode))

    def open(self, path: str) -> IO[bytes]:
        """A file's content; ``KeyError`` when there is none."""
        if self._zip:
            return self._zip.open(path)
        # Archives made from inside a folder write ./NAME, which the ledger and the index call NAME.
        rows = (row for row in self._tar or () if row.name.removeprefix("./") == path)
        row = next(rows, None)
        found = self._tar.extractfile(row) if self._tar and row else None
        if found is None:
            raise KeyError(path)
        return found


def lay(planned: Planned, stage: Path, *, artifacts: Mapping[str, Path], made: Mapping[str, Path]) -> None:
    """Put everything a recipe names into its place below ``stage``.

    ``artifacts``: where each fetched package lies; ``made``: the folder of each recipe it uses.
    """
    recipe = planned.recipe
    for package in recipe.artifacts:
        try:
            _from_artifact(package, stage, artifacts[package.artifact])
        except KeyError as error:
            raise Failure("OLR-ART-011", recipe=planned.name, reason=f"{package.artifact} has no {error}") from error
    for own in recipe.files:
        _copy(planned.folder / own.file, _place(stage, own.to), mode=own.mode)
    for other in recipe.uses:
        _copy(made[other.recipe] / other.file, _place(stage, other.to), mode=other.mode)
    for link, target in recipe.links.items():
        place = _place(stage, link)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def _from_artifact(row: FromArtifact, stage: Path, path: Path) -> None:
    place = _place(stage, row.to)
    if not row.member:
        _copy(path, place, mode=row.mode)
        return
    with path.open("rb") as file, Archive(file) as archive:
        if row.member == "*":
            entries = [(e, e.path) for e in archive.entries() if not e.path.split("/")[0].endswith(".data")]
        elif row.member.endswith("/"):
            inside = (e for e in archive.entries() if e.path.startswith(row.member))
            entries = [(e, e.path.removeprefix(row.member)) for e in inside]
            if not entries:
                raise KeyError(row.member)
        else:
            _pour(archive.open(row.member), place, mode=row.mode)
            return
        for entry, name in entries:
            _pour(archive.open(entry.path), _below(place, name), mode=0o755 if entry.mode & 0o100 else 0o644)


def _pour(source: IO[bytes], place: Path, *, mode: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with source, place.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    place.chmod(mode)


def _copy(source: Path, place: Path, *, mode: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        shutil.copyfile(source, place)
        place.chmod(mode)
        return
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            _copy(path, place / path.relative_to(source), mode=mode)


def _place(stage: Path, to: str) -> Path:
    return stage / to.strip("/")


def _below(place: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        raise KeyError(name)
    return place.joinpath(*parts)
