"""Files and what else lies at a path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.aside import MoveAside
from installers.core.actions.files import DropFile, MakeDirectory, PutBlock, PutFile, PutSymlink
from installers.core.facts.files import PathInfo, PathState, SealedFiles, TextAt, sha256, split_block, with_block
from installers.core.model import Action, Blocked, Change, Decision, Fact, Facts, Satisfied
from installers.core.resources.base import BaseResource
from installers.core.resources.templates import Text, rendered, text_needs, text_secrets


@dataclass(frozen=True, slots=True)
class File(BaseResource):
    """A whole file with this content, mode and owner (by name). Directories above it are made."""

    path: str
    content: Text
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"

    @property
    def key(self) -> str:
        return f"file:{self.path}"

    def _info(self) -> PathInfo:
        return PathInfo(self.path, text_secrets(self.content))

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self._info(), *text_needs(self.content))

    def decide(self, facts: Facts) -> Decision:
        present, text = facts[self._info()], rendered(self.content, facts)
        wanted = PathState("file", self.mode, self.owner, self.group, sha256(text.encode()))
        if present == wanted:
            return Satisfied(f"{self.path} has the wanted content, mode and owner")
        if present is not None and present.type in ("directory", "other"):
            return Blocked("OLR-FILE-002", {"path": self.path, "wanted": "file", "present": present.type})
        why = difference(self.path, present, wanted)
        action = PutFile(self.path, text, self.mode, self.owner, self.group)
        return Change((action,), why, {self._info(): wanted})


def difference(path: str, present: PathState | None, wanted: PathState) -> str:
    """Why a file or directory is not as wanted, in one line."""
    if present is None:
        return f"{path} does not exist"
    if present.type != wanted.type:
        return f"{path} is a {present.type}, not a {wanted.type}"
    said = []
    if present.digest != wanted.digest:
        said.append("other content")
    if present.mode != wanted.mode:
        said.append(f"mode {present.mode:04o} instead of {wanted.mode:04o}")
    if (present.owner, present.group) != (wanted.owner, wanted.group):
        said.append(f"owner {present.owner}:{present.group} instead of {wanted.owner}:{wanted.group}")
    return f"{path} has {', '.join(said)}"


@dataclass(frozen=True, slots=True)
class Block(BaseResource):
    """Our lines between two marks in a file that belongs to others (fstab, hosts); no secrets."""

    path: str
    marker: str
    text: str

    @property
    def key(self) -> str:
        return f"block:{self.path}#{self.marker}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (TextAt(self.path),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[TextAt(self.path)]
        block = split_block(present or "", self.marker).block
        wanted = self.text if self.text.endswith("\n") or not self.text else self.text + "\n"
        if block == wanted:
            return Satisfied(f"{self.path} has the block '{self.marker}'")
        why = f"{self.path} {'has other lines in' if block is not None else 'lacks'} the block '{self.marker}'"
        action = PutBlock(self.path, self.marker, self.text)
        return Change((action,), why, {TextAt(self.path): with_block(present or "", self.marker, self.text)})


@dataclass(frozen=True, slots=True)
class Directory(BaseResource):
    """A directory with this mode and owner (by name). What is in it is not ours."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"

    @property
    def key(self) -> str:
        return f"directory:{self.path}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PathInfo(self.path),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[PathInfo(self.path)]
        wanted = PathState("directory", self.mode, self.owner, self.group)
        if present == wanted:
            return Satisfied(f"{self.path} is there with the wanted mode and owner")
        if present is not None and present.type != "directory":
            return Blocked("OLR-FILE-002", {"path": self.path, "wanted": "directory", "present": present.type})
        action = MakeDirectory(self.path, self.mode, self.owner, self.group)
        return Change((action,), difference(self.path, present, wanted), {PathInfo(self.path): wanted})


@dataclass(frozen=True, slots=True)
class Symlink(BaseResource):
    """A symbolic link that points ``to`` exactly this text."""

    path: str
    to: str

    @property
    def key(self) -> str:
        return f"symlink:{self.path}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PathInfo(self.path),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[PathInfo(self.path)]
        if present is not None and present.type == "link" and present.link == self.to:
            return Satisfied(f"{self.path} points to {self.to}")
        if present is not None and present.type in ("directory", "other"):
            return Blocked("OLR-FILE-002", {"path": self.path, "wanted": "link", "present": present.type})
        if present is None:
            why = f"{self.path} does not exist"
        else:
            why = f"{self.path} points to {present.link}" if present.link else f"{self.path} is a file"
        wanted = PathState("link", 0o777, link=self.to)
        return Change((PutSymlink(self.path, self.to),), why, {PathInfo(self.path): wanted})


@dataclass(frozen=True, slots=True)
class Absent(BaseResource):
    """Nothing at this path: what is there comes back with an undo."""

    path: str

    @property
    def key(self) -> str:
        return f"absent:{self.path}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PathInfo(self.path),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[PathInfo(self.path)]
        if present is None:
            return Satisfied(f"{self.path} does not exist")
        single = present.type in ("file", "link")
        action: Action = DropFile(self.path) if single else MoveAside(self.path)
        return Change((action,), f"{self.path} is a {present.type}", {PathInfo(self.path): None})


@dataclass(frozen=True, slots=True)
class NoFormer(BaseResource):
    """No other files of ours than these, called ``name`` in directories of their own below ``folder``.

    For what stands there only while olares.yaml says so, under names that nobody knows once it says so no more.
    Those written with ``sealed`` are told from a user's own; one that was edited is named and stays.
    """

    folder: str
    name: str
    wanted: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"former:{self.folder}"

    @property
    def _present(self) -> SealedFiles:
        return SealedFiles(self.folder, self.name)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self._present,)

    def decide(self, facts: Facts) -> Decision:
        others = [row for row in facts[self._present] if row[0] not in self.wanted]
        doomed = [path for path, untouched in others if untouched]
        edited = [path for path, untouched in others if not untouched]
        stays = f"{', '.join(edited)}: edited since we wrote it, so it stays" if edited else ""
        if not doomed:
            return Satisfied(stays or f"nothing below {self.folder} is there that is no longer wanted")
        why = "; ".join(filter(None, (f"{', '.join(doomed)}: no longer wanted", stays)))
        left = tuple(row for row in facts[self._present] if row[0] not in doomed)
        return Change(tuple(map(DropFile, doomed)), why, {self._present: left})
