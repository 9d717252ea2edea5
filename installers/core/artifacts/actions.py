"""Filling the cache, and installing programs out of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from installers.core.actions.base import BaseAction
from installers.core.actions.files import PIECE, RestorePath, clear_half_written, keep_before, make_parents
from installers.core.artifacts.lay import Archive
from installers.core.artifacts.report import FAILED, Listener
from installers.core.errors import Failure
from installers.core.facts.files import before_image
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Output, Probe

FETCH_TIMEOUT = 2 * 3600.0
BUILD_TIMEOUT = 3 * 3600.0

# Namespaces of its own: when the worker ends, all it started ends and all it mounted is gone.
_APART = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc")
# What an archive says that was cut off, changed, or is none.
_DAMAGED = (KeyError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile)

_WORKER = ("-P", "-m", "installers.core.artifacts")

_ROWS = 200
"""Files named to one worker: Linux takes 128 KiB in one argument."""


class RunProgram(Protocol):
    """Runs a program to its end, as ``Host.run`` does."""

    def __call__(
        self, argv: Sequence[str], *, timeout: float, ok: Sequence[int], on_line: Callable[[str], None]
    ) -> Output: ...


def _work(host: Host, verb: str, *args: str, timeout: float) -> None:
    work(host.run, Listener(host.progress), verb, *args, timeout=timeout)


def work(run: RunProgram, listener: Listener, verb: str, *args: str, timeout: float) -> None:
    """Run the worker, pass its progress on, and raise the failure it reports."""
    argv = [*_APART, sys.executable, *_WORKER, verb, *args]
    output = run(argv, timeout=timeout, ok=(0, FAILED), on_line=listener)
    if output.code == FAILED:
        raise listener.failure or Failure("OLR-ART-014", worker=verb)


@dataclass(frozen=True, slots=True)
class KeepCache(BaseAction):
    """The way back from filling the cache: nothing. The cache is no part of the system, only spares work."""

    kind: ClassVar[str] = "keep-cache"

    path: str

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"keep {self.path} in the cache"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return self

    def execute(self, host: Host) -> Outcome:
        return DONE


@dataclass(frozen=True, slots=True)
class FetchArtifact(BaseAction):
    """Fetch a package of the index into the cache; a wrong one there is moved aside. Goes on where it stopped."""

    kind: ClassVar[str] = "fetch-artifact"

    name: str
    release: str
    sha256: str
    path: str
    cache: str
    state: str
    places: tuple[str, ...] = ()
    """Base addresses of a mirror; () means where the artifact is at home."""

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"fetch {self.name} {self.release}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return KeepCache(self.path)

    def execute(self, host: Host) -> Outcome:
        where = (f"--cache={self.cache}", f"--state={self.state}", *(f"--place={place}" for place in self.places))
        _work(host, "fetch", self.name, self.sha256, *where, timeout=FETCH_TIMEOUT)
        return DONE


@dataclass(frozen=True, slots=True)
class FetchFromDepot(BaseAction):
    """Fetch files of a signed depot from web servers into what is kept of it here. Goes on where it stopped.

    ``files``: each as (path in the depot and below ``folder``, sha256, size), as the signatures have it.
    """

    kind: ClassVar[str] = "fetch-from-depot"

    name: str
    folder: str
    files: tuple[tuple[str, str, int], ...]
    places: tuple[str, ...]
    cache: str
    state: str

    @property
    def target(self) -> str:
        return f"{self.folder}/{self.files[0][0]}"

    def describe(self) -> str:
        return f"fetch {self.name} from the bundle's web server"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return KeepCache(self.target)

    def execute(self, host: Host) -> Outcome:
        where = (f"--cache={self.cache}", f"--state={self.state}", *(f"--place={place}" for place in self.places))
        for first in range(0, len(self.files), _ROWS):
            wanted = json.dumps({"folder": self.folder, "files": self.files[first : first + _ROWS]})
            _work(host, "bring", self.name, wanted, *where, timeout=FETCH_TIMEOUT)
        return DONE


@dataclass(frozen=True, slots=True)
class TakeFromDepot(BaseAction):
    """Take files out of a signed depot into the cache, in place of fetching or building them.

    ``files``: each as (path in the depot, path below the cache, sha256, size), as the signatures have it.
    ``record``: what the depot's ledger says of a build, as JSON; "" for a fetched file.
    """

    kind: ClassVar[str] = "take-from-depot"

    name: str
    folder: str
    files: tuple[tuple[str, str, str, int], ...]
    record: str
    cache: str
    state: str

    @property
    def target(self) -> str:
        # A fetched file, or the folder of a build: both are two names deep below the cache.
        return "/".join((self.cache, *self.files[0][1].split("/")[:2]))

    def describe(self) -> str:
        return f"take {self.name} from {self.folder}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return KeepCache(self.target)

    def execute(self, host: Host) -> Outcome:
        where = (f"--cache={self.cache}", f"--state={self.state}")
        rows = [(f"{self.folder}/{path}", entry, sha256, size) for path, entry, sha256, size in self.files]
        wanted = json.dumps({"files": rows, "record": self.record})
        _work(host, "take", self.name, wanted, *where, timeout=FETCH_TIMEOUT)
        return DONE


@dataclass(frozen=True, slots=True)
class BuildRecipe(BaseAction):
    """Build a recipe, and what it uses, into the cache. Needs buildah and mmdebstrap on the host."""

    kind: ClassVar[str] = "build-recipe"

    name: str
    key: str
    folder: str
    cache: str
    state: str
    recipes: str

    @property
    def target(self) -> str:
        return self.folder

    def describe(self) -> str:
        return f"build {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return KeepCache(self.folder)

    def execute(self, host: Host) -> Outcome:
        where = (f"--cache={self.cache}", f"--state={self.state}", f"--recipes={self.recipes}")
        _work(host, "build", self.name, self.key, *where, timeout=BUILD_TIMEOUT)
        return DONE


@dataclass(frozen=True, slots=True)
class InstallBinary(BaseAction):
    """Install a program from a file of the cache. ``member``: its path in a package there, "" for the file itself.

    ``sha256``: of the program; it is compared before the program has its name.
    """

    kind: ClassVar[str] = "install-binary"

    path: str
    source: str
    member: str
    sha256: str
    mode: int = 0o755

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"install {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RestorePath(self.path, self.sha256, before_image(probe, self.path))

    def execute(self, host: Host) -> Outcome:
        keep_before(host, before_image(host, self.path), self.path)
        make_parents(host, self.path)
        host.write(self.path, self._pieces(host), mode=self.mode)
        return DONE

    def _pieces(self, host: Host) -> Iterator[bytes]:
        """The program; for another one a failure in place of the end, before the write has given it its name."""
        digest = hashlib.sha256()
        try:
            for piece in self._unpacked(host):
                digest.update(piece)
                yield piece
        except _DAMAGED as error:
            raise Failure("OLR-ART-009", path=self.source) from error
        if digest.hexdigest() != self.sha256:
            raise Failure("OLR-ART-009", path=self.source)

    def _unpacked(self, host: Host) -> Iterator[bytes]:
        with host.open(self.source) as file:
            if not self.member:
                yield from iter(lambda: file.read(PIECE), b"")
                return
            with Archive(file) as archive, archive.open(self.member) as content:
                yield from iter(lambda: content.read(PIECE), b"")

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


ACTIONS: tuple[type[BaseAction], ...] = (
    FetchArtifact,
    FetchFromDepot,
    TakeFromDepot,
    BuildRecipe,
    KeepCache,
    InstallBinary,
)
