"""A flat repository of Debian packages: what some packages need on a system that has nothing, and an index over it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from installers.core.actions.packages import DOWNLOAD_TIMEOUT, ENVIRONMENT, Downloaded
from installers.core.artifacts.disk import remove
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.facts.packages import listed, lists_directory, problem_in, refresh_lists
from installers.core.host.runner import run_process
from installers.core.model import Probe

_NOTHING = ("-oDir::State::status=/dev/null", "-oDebug::NoLocking=1", "-oDir::Log::Planner=/dev/null")
"""Resolve as on a system without a single package: what comes out is enough on any of that release."""

_IN_MEMORY = ("-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache=")
_EPOCH = re.compile(r"_\d+%3a")

_DATE = "Sat, 01 Jan 2000 00:00:00 UTC"
"""Of the Release file, always: how new a depot is its signatures say, and a host's clock may be wrong."""


def gather(names: Sequence[str], to: Path, probe: Probe, report: Report) -> None:
    """Fetch packages with all they depend on by this host's apt, from its sources and believed by its signatures.

    Raises the failures of an installation (OLR-PKG-001 and following) as apt gives them.
    """
    scratch = to.with_name(f".{to.name}.archives")
    remove(scratch)
    (scratch / "partial").mkdir(parents=True)
    if not listed(probe):
        refresh_lists(probe)
    argv = [
        *("apt-get", "-y", "-q", *_NOTHING, *_IN_MEMORY, "-oAPT::Status-Fd=1", "-oAcquire::Retries=3"),
        *("-oAPT::Sandbox::User=root", f"-oDir::State::Lists={lists_directory(probe)}"),
        *(f"-oDir::Cache::Archives={scratch}", "--no-install-recommends", "--download-only", "install", *names),
    ]
    try:
        progress = Downloaded(lambda done, total, unit, text="": report(done, total or 0, unit, text))
        answer = run_process(argv, timeout=DOWNLOAD_TIMEOUT, env=ENVIRONMENT, ok=None, on_line=progress)
        if answer.code:
            id, detail = problem_in(answer.stdout + answer.stderr)
            raise Failure(id, detail=detail, packages=", ".join(names))
        to.mkdir(parents=True, exist_ok=True)
        for archive in scratch.glob("*.deb"):
            # As the archive itself names them: a web server would take %3a for a colon.
            archive.rename(to / _EPOCH.sub("_", archive.name))
    finally:
        remove(scratch)


def index(folder: Path, fields: Callable[[Path], str] | None = None) -> None:
    """Write Packages and Release over the packages in a folder. ``fields``: a package's control fields as text."""
    stanzas = [_stanza(path, fields or control) for path in sorted(folder.glob("*.deb"))]
    packages = "\n".join(stanzas).encode()
    (folder / "Packages").write_bytes(packages)
    (folder / "Release").write_text("\n".join(_release(packages)) + "\n")


def control(archive: Path) -> str:
    """A package's control fields, from dpkg-deb, which every Debian has."""
    return run_process(["dpkg-deb", "--field", str(archive)], timeout=60, complete=1 << 20).stdout


def _stanza(path: Path, fields: Callable[[Path], str]) -> str:
    text = fields(path).rstrip("\n")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{text}\nFilename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {sha256}\n"


def _release(packages: bytes) -> Iterator[str]:
    yield from ("Origin: Olares", "Label: Olares bundle", "Suite: bundle", f"Date: {_DATE}")
    yield from ("SHA256:", f" {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages")
