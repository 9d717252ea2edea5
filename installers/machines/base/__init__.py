"""The root every machine starts from, as data: what is in it, and the key its cache entry is known by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from installers.core.host.documents import document


@dataclass(frozen=True, slots=True)
class File:
    """A file of ours in the root: where, its content and mode bits."""

    path: str
    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class BaseRoot:
    """``tar`` is its name in the cache: by suite and packages; ``name`` also covers what we put on top."""

    suite: str
    packages: tuple[str, ...]
    masked: tuple[str, ...]
    enabled: tuple[tuple[str, str], ...]
    files: tuple[File, ...]
    removed: tuple[str, ...]

    @property
    def key(self) -> str:
        """Digest of what mmdebstrap is asked for."""
        return hashlib.sha256(repr((self.suite, self.packages)).encode()).hexdigest()

    @property
    def name(self) -> str:
        """The directory's name: another configuration is another base beside the old one."""
        return f"{self.suite}-{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"


def releases() -> tuple[str, ...]:
    """Code names of the Debian releases a machine can have, the usual one first."""
    return tuple(_described()["releases"])


@cache
def base_root(release: str) -> BaseRoot:
    """The base root of a release as ``base.yaml`` describes it."""
    folder, row = _folder(), _described()
    return BaseRoot(
        suite=release,
        packages=tuple(row["packages"]),
        masked=tuple(row["masked"]),
        enabled=tuple(row["enabled"].items()),
        files=tuple(
            File(path, folder.joinpath(name).read_bytes(), mode) for name, (path, mode) in row["files"].items()
        ),
        removed=tuple(row["removed"]),
    )


@cache
def _described() -> dict[str, Any]:
    row: dict[str, Any] = document(_folder().joinpath("base.yaml").read_bytes())
    return row


def _folder() -> Traversable:
    return files("installers.machines.base")
