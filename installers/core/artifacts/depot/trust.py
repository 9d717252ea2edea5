"""What a user trusts: publishers by fingerprint, and the newest that was seen of each."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from installers.core.artifacts.depot.contents import Target, is_safe
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.disk import write_whole
from installers.core.errors import Failure

_FINGERPRINT = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_HISTORY = "root_history"
_PARTS = ("targets.json", "snapshot.json", "timestamp.json")


def parse_fingerprint(text: str) -> str:
    """A fingerprint in its one form, ``sha256:HEX``; ``OLR-BND-016`` for something else."""
    if match := _FINGERPRINT.fullmatch(text.strip()):
        return f"sha256:{match[1].lower()}"
    raise Failure("OLR-BND-016", given=text)


def fingerprint(first_root: bytes) -> str:
    """A publisher's name for those who trust it: sha256 of ``1.root.json`` as it lies there."""
    return f"sha256:{hashlib.sha256(first_root).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Trust:
    """The trusted publishers of this host, below ``<state>/trust``: public, but only root may add one."""

    folder: Path

    def of(self, fingerprint: str) -> Path:
        """Where what was seen of a publisher lies."""
        return self.folder / fingerprint.partition(":")[2]

    def has(self, fingerprint: str) -> bool:
        return (self.of(fingerprint) / f"{_HISTORY}/1.root.json").is_file()

    def require(self, claimed: str, *, given: str, place: str) -> None:
        """``OLR-BND-003`` for a publisher nobody trusts, ``OLR-BND-004`` for another one than the user named."""
        if given and given != claimed:
            raise Refused("OLR-BND-004", place=place, claimed=claimed, given=given)
        if not given and not self.has(claimed):
            raise Refused("OLR-BND-003", place=place, claimed=claimed)

    def copy(self, fingerprint: str, to: Path) -> Path:
        """What was seen of a publisher, for a verification that may come to nothing."""
        if self.has(fingerprint):
            shutil.copytree(self.of(fingerprint), to, dirs_exist_ok=True)
        return to

    def keep(self, fingerprint: str, seen: Mapping[str, str]) -> None:
        """Keep what a verification has seen; the timestamp last, so that a killed call leaves an older state."""
        place = self.of(fingerprint)
        (place / _HISTORY).mkdir(parents=True, exist_ok=True)
        for name, text in seen.items():
            write_whole(place / name, text, mode=0o644)


def seen_in(folder: Path) -> dict[str, str]:
    """What a verification left in its directory, in the order to keep it."""
    roots = sorted(f"{_HISTORY}/{path.name}" for path in (folder / _HISTORY).iterdir())
    return {name: (folder / name).read_text() for name in (*roots, *_PARTS)}


def kept_targets(kept: Path, *, place: str) -> dict[str, Target]:
    """The targets in what was kept of a verified depot."""
    rows = json.loads((kept / "targets.json").read_bytes())["signed"]["targets"]
    for path, row in rows.items():
        if not is_safe(path):
            raise Refused("OLR-BND-008", place=place, member=path, reason="it has no place in a depot")
        if "sha256" not in row["hashes"]:
            raise Refused("OLR-BND-002", place=place, reason=f"it lists {path} without a sha256")
    return {path: Target(path, row["hashes"]["sha256"], row["length"]) for path, row in rows.items()}
