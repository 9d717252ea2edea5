"""Files, marked blocks, directories and links: put there, and taken back when still ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.errors import Failure
from installers.core.facts.files import (
    BeforeImage,
    PathInfo,
    PathState,
    before_image,
    filled_digest,
    ids_of,
    missing_parents,
    split_block,
    with_block,
    without_block,
)
from installers.core.host.files import temporary_name
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe

FINAL = Irreversible("taking something back is not itself taken back")


def _ids(probe: Probe, path: str, owner: str, group: str) -> tuple[int, int]:
    ids = ids_of(probe, owner, group)
    if ids is None:
        raise Failure("OLR-FILE-001", path=path, owner=owner, group=group)
    return ids


def clear_half_written(host: Host, path: str) -> None:
    """Remove what a killed write of this path left beside it."""
    host.remove(temporary_name(path))


def make_parents(host: Host, path: str) -> None:
    """The missing directories above a path, each whole at once.

    Cut off while one is made, it would else stay closed to everybody but root: a later run finds it there
    and looks no further.
    """
    for parent in reversed(missing_parents(host, path)):
        staged = temporary_name(parent)
        host.mkdir(staged)
        host.move(staged, parent)


def _remove_empty(host: Host, directories: tuple[str, ...]) -> None:
    """Take away directories we made on the way, as far as they are empty."""
    for directory in directories:
        if host.stat(directory) is None:
            clear_half_written(host, directory)
            continue
        if host.listdir(directory):
            return
        host.remove(directory)


def make_store(host: Host, directory: str) -> None:
    """A root-only directory of our own state, which no undo takes away."""
    for parent in reversed(missing_parents(host, directory)):
        host.mkdir(parent)
    if host.stat(directory) is None:
        host.mkdir(directory, mode=0o700)


PIECE = 1 << 20
"""Bytes read at a time of a file of any size: a K3s image archive is larger than what a small board has free."""


def copy(host: Host, source: str, path: str, *, mode: int, uid: int = 0, gid: int = 0) -> None:
    """Replace a file by what another holds."""
    with host.open(source) as file:
        host.write(path, iter(lambda: file.read(PIECE), b""), mode=mode, uid=uid, gid=gid)


def keep_before(host: Host, before: BeforeImage, path: str) -> None:
    """Fill the root-only store with a file about to be overwritten."""
    if not before.store or host.stat(before.store) is not None:
        return
    make_store(host, before.store.rpartition("/")[0])
    copy(host, path, before.store, mode=0o600)


@dataclass(frozen=True, slots=True)
class PutFile(BaseAction):
    """A whole file that is ours. ``content`` may carry secret references, never values."""

    kind: ClassVar[str] = "put-file"

    path: str
    content: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"write {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RestorePath(self.path, filled_digest(probe, self.content), before_image(probe, self.path))

    def execute(self, host: Host) -> Outcome:
        uid, gid = _ids(host, self.path, self.owner, self.group)
        keep_before(host, before_image(host, self.path), self.path)
        make_parents(host, self.path)
        host.write(self.path, host.reveal(self.content).encode(), mode=self.mode, uid=uid, gid=gid)
        return DONE

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


@dataclass(frozen=True, slots=True)
class PutSymlink(BaseAction):
    """A symbolic link that is ours."""

    kind: ClassVar[str] = "put-symlink"

    path: str
    to: str

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"link {self.path} to {self.to}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RestorePath(self.path, f"link:{self.to}", before_image(probe, self.path))

    def execute(self, host: Host) -> Outcome:
        keep_before(host, before_image(host, self.path), self.path)
        make_parents(host, self.path)
        host.symlink(self.path, self.to)
        return DONE

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


@dataclass(frozen=True, slots=True)
class DropFile(BaseAction):
    """Remove a file or link that is no longer wanted, and keep it for the way back."""

    kind: ClassVar[str] = "drop-file"

    path: str

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"remove {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RestorePath(self.path, "", before_image(probe, self.path))

    def execute(self, host: Host) -> Outcome:
        keep_before(host, before_image(host, self.path), self.path)
        host.remove(self.path)
        return DONE


@dataclass(frozen=True, slots=True)
class RestorePath(BaseAction):
    """Put back what lay at a path before.

    ``left``: sha256 of what we left there, or ``link:`` and its goal; "" where we left nothing.
    """

    kind: ClassVar[str] = "restore-path"

    path: str
    left: str
    before: BeforeImage

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"remove {self.path}" if self.before.type == "absent" else f"put {self.path} back as it was"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def past(self, older: Action) -> Action | None:
        return replace(self, before=older.before) if isinstance(older, RestorePath) else None

    def execute(self, host: Host) -> Outcome:
        present = PathInfo(self.path).load(host)
        mark = _mark(present if isinstance(present, PathState) else None)
        before = self.before
        if before.type == "absent":
            if mark not in ("", self.left):
                return Left(self.path, "it was changed since we wrote it")
            host.remove(self.path)
            _remove_empty(host, before.parents)
            return DONE
        was = f"link:{before.link}" if before.type == "link" else before.digest
        if mark not in (self.left, was):
            return Left(self.path, "it was changed since we wrote it" if mark else "it was removed since")
        return self._put_back(host, same=mark == was)

    def _put_back(self, host: Host, *, same: bool) -> Outcome:
        before = self.before
        if before.type == "link":
            if not same:
                host.symlink(self.path, before.link)
            return DONE
        if same:
            host.chown(self.path, before.uid, before.gid)
            host.chmod(self.path, before.mode)
            return DONE
        if before.content is None and host.stat(before.store) is None:
            return Left(self.path, f"its former content is missing from {before.store}")
        if before.content is None:
            copy(host, before.store, self.path, mode=before.mode, uid=before.uid, gid=before.gid)
        else:
            content = before.content.encode()
            host.write(self.path, content, mode=before.mode, uid=before.uid, gid=before.gid)
        return DONE

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


def _mark(present: PathState | None) -> str:
    if present is None:
        return ""
    return f"link:{present.link}" if present.type == "link" else present.digest or present.type


@dataclass(frozen=True, slots=True)
class RestoreFileOf(BaseAction):
    """What puts back a file that a unit or service reads has in common; a kind of its own says how it is taken up."""

    unit: str
    path: str
    left: str
    before: BeforeImage

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return RestorePath(self.path, self.left, self.before).describe()

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def past(self, older: Action) -> Action | None:
        return replace(self, before=older.before) if isinstance(older, type(self)) else None

    def execute(self, host: Host) -> Outcome:
        outcome = RestorePath(self.path, self.left, self.before).execute(host)
        if not isinstance(outcome, Left):
            self.take_up(host)
        return outcome

    def take_up(self, host: Host) -> None:
        """Have it read what is there now."""
        raise NotImplementedError

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


@dataclass(frozen=True, slots=True)
class PutBlock(BaseAction):
    """Our marked lines in a file that belongs to others."""

    kind: ClassVar[str] = "put-block"

    path: str
    marker: str
    text: str

    @property
    def target(self) -> str:
        return f"{self.path}#{self.marker}"

    def describe(self) -> str:
        return f"write the block '{self.marker}' in {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        stat = probe.stat(self.path)
        if stat is None:
            return RemoveBlock(self.path, self.marker, created=True, parents=missing_parents(probe, self.path))
        text = probe.read(self.path).decode()
        before = split_block(text, self.marker).block
        return RemoveBlock(self.path, self.marker, before, joined=bool(text) and not text.endswith("\n"))

    def execute(self, host: Host) -> Outcome:
        make_parents(host, self.path)
        stat = host.stat(self.path)
        text = host.read(self.path).decode() if stat else ""
        _rewrite(host, self.path, with_block(text, self.marker, self.text))
        return DONE

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


@dataclass(frozen=True, slots=True)
class RemoveBlock(BaseAction):
    """Take our block out, or put our earlier one back; everything around it stays as it is now.

    ``created``: the file came into being with our block. ``joined``: we ended its last line.
    """

    kind: ClassVar[str] = "remove-block"

    path: str
    marker: str
    before: str | None = None
    created: bool = False
    joined: bool = False
    parents: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return f"{self.path}#{self.marker}"

    def describe(self) -> str:
        return f"take the block '{self.marker}' out of {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        if host.stat(self.path) is None:
            _remove_empty(host, self.parents)
            return DONE
        text = host.read(self.path).decode()
        split = split_block(text, self.marker)
        if self.before is not None:
            _rewrite(host, self.path, with_block(text, self.marker, self.before))
            return DONE
        if split.block is not None:
            text = without_block(text, self.marker)
            at_end = self.joined and not split.tail and text.endswith("\n")
            text = text[:-1] if at_end else text
        if not text and self.created:
            host.remove(self.path)
            _remove_empty(host, self.parents)
        elif split.block is not None:
            _rewrite(host, self.path, text)
        return DONE

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


def _rewrite(host: Host, path: str, text: str) -> None:
    """Replace a shared file's text and nothing else about it; through a link, the file it points to."""
    stat = host.stat(path)
    if stat and stat.is_link:
        goal = host.readlink(path)
        path = goal if goal.startswith("/") else f"{path.rpartition('/')[0]}/{goal}"
        stat = host.stat(path)
    if stat is None:
        host.write(path, text.encode())
    else:
        host.write(path, text.encode(), mode=stat.permissions, uid=stat.uid, gid=stat.gid)


@dataclass(frozen=True, slots=True)
class MakeDirectory(BaseAction):
    """A directory, with those above it where they are missing."""

    kind: ClassVar[str] = "make-directory"

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"make the directory {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        stat = probe.stat(self.path)
        if stat is None:
            return RemoveDirectory(self.path, missing_parents(probe, self.path))
        ids = _ids(probe, self.path, self.owner, self.group)
        return RestoreAttributes(self.path, (self.mode, *ids), (stat.permissions, stat.uid, stat.gid))

    def execute(self, host: Host) -> Outcome:
        uid, gid = _ids(host, self.path, self.owner, self.group)
        make_parents(host, self.path)
        if host.stat(self.path) is None:
            host.mkdir(self.path, mode=self.mode, uid=uid, gid=gid)
        host.chown(self.path, uid, gid)
        host.chmod(self.path, self.mode)
        return DONE


@dataclass(frozen=True, slots=True)
class RemoveDirectory(BaseAction):
    """Take away a directory we made, and those made on the way to it, when they are empty."""

    kind: ClassVar[str] = "remove-directory"

    path: str
    parents: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"remove the directory {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        entries = host.listdir(self.path)
        if entries:
            shown = ", ".join(entries[:3]) + (f" and {len(entries) - 3} more" if len(entries) > 3 else "")
            return Left(self.path, f"it is not empty: {shown}")
        _remove_empty(host, (self.path, *self.parents))
        return DONE


@dataclass(frozen=True, slots=True)
class RestoreAttributes(BaseAction):
    """Give a directory back its mode and owner; ``left`` and ``before`` are (mode, uid, gid)."""

    kind: ClassVar[str] = "restore-attributes"

    path: str
    left: tuple[int, int, int]
    before: tuple[int, int, int]

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"give {self.path} its former mode and owner"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        stat = host.stat(self.path)
        if stat is None:
            return Left(self.path, "it was removed since")
        ours = {self.left, self.before, (self.before[0], *self.left[1:]), (self.left[0], *self.before[1:])}
        if (stat.permissions, stat.uid, stat.gid) not in ours:
            return Left(self.path, "its mode or owner was changed since")
        host.chown(self.path, self.before[1], self.before[2])
        host.chmod(self.path, self.before[0])
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (
    PutFile,
    PutSymlink,
    DropFile,
    RestorePath,
    PutBlock,
    RemoveBlock,
    MakeDirectory,
    RemoveDirectory,
    RestoreAttributes,
)
