"""The directories and the manifest that names them. Everything here survives the cluster."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from localvolumes.plan import Here, Provision, mounts_below

MANIFEST = "claims.json"
TRASH = ".trash"
SCHEMA = 1


class Busy(RuntimeError):
    """Something is mounted inside a directory that should be removed."""


@dataclass(frozen=True)
class Entry:
    """What the manifest says of a claim: where its data lies, and which claim and volume used it last."""

    directory: str
    claim_uid: str
    volume: str
    storage_class: str
    reclaim: str
    since: str
    """When the directory was made (UTC); kept when it is adopted."""


class Disk:
    """A node's volume directories."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._path = here.root / MANIFEST
        self.entries: dict[str, Entry] = self._read()

    def present(self, namespace: str, claim: str) -> bool:
        """True if there is a directory for the claim: made now, or left by an earlier installation."""
        directory = self._here.directory(namespace, claim)
        return directory.is_dir() and not directory.is_symlink()

    def newest(self, namespace: str, claim: str) -> str | None:
        """The uid of the claim that used the directory last, if known."""
        entry = self.entries.get(f"{namespace}/{claim}")
        return entry.claim_uid if entry else None

    def make(self, plan: Provision) -> None:
        """Make a claim's directory with owner and mode at once in place; an adopted one is left as it is."""
        if plan.adopt:
            return
        above = plan.directory.parent
        above.mkdir(mode=0o700, exist_ok=True)
        new = above / f".new-{plan.directory.name}"
        new.mkdir(mode=0o700, exist_ok=True)
        os.chown(new, *plan.owner)
        new.chmod(plan.mode)
        new.rename(plan.directory)
        _sync(above)
        _sync(self._here.root)

    def unmake(self, plan: Provision) -> None:
        """Take a directory back that was made for nothing; refuses one with content."""
        if not plan.adopt:
            plan.directory.rmdir()

    def record(self, claim: str, plan: Provision, uid: str, volume: str, storage_class: str) -> None:
        """Note in the manifest who uses a directory now."""
        former = self.entries.get(claim)
        since = former.since if former and plan.adopt else datetime.now(UTC).isoformat(timespec="seconds")
        self.entries[claim] = Entry(str(plan.directory), uid, volume, storage_class, plan.reclaim, since)
        self._write()

    def forget(self, claim: str) -> None:
        """Drop a claim from the manifest."""
        if self.entries.pop(claim, None):
            self._write()

    def remove(self, directory: Path, uid: str) -> None:
        """Remove a directory with all its content. It disappears under its name at once; a crash is made good later."""
        mounted = mounts_below(Path("/proc/self/mountinfo").read_text(), directory)
        if mounted:
            raise Busy(f"{directory}: {mounted[0]} is mounted there")
        trash = self._here.root / TRASH
        trash.mkdir(mode=0o700, exist_ok=True)
        directory.rename(trash / uid)
        _sync(directory.parent)
        shutil.rmtree(trash / uid)
        if not any(directory.parent.iterdir()):
            directory.parent.rmdir()

    def sweep(self) -> None:
        """Finish removals that a crash interrupted."""
        trash = self._here.root / TRASH
        for left in sorted(trash.iterdir()) if trash.is_dir() else []:
            shutil.rmtree(left)

    def _read(self) -> dict[str, Entry]:
        if not self._path.exists():
            return {}
        content = json.loads(self._path.read_text())
        if content["schema"] != SCHEMA:
            raise ValueError(f"{self._path}: schema {content['schema']}, this program knows {SCHEMA}")
        return {claim: Entry(**entry) for claim, entry in content["claims"].items()}

    def _write(self) -> None:
        claims = {claim: asdict(entry) for claim, entry in sorted(self.entries.items())}
        content = {"schema": SCHEMA, "node": self._here.name, "claims": claims}
        new = self._path.with_name(MANIFEST + ".new")
        new.touch(mode=0o600)
        with new.open("w") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._path)
        _sync(self._here.root)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
