"""What lies at a path: type, owner, mode, content."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from installers.core.facts.users import parse_groups, parse_users
from installers.core.model import Probe, Secret, Unknown, secrets_in
from installers.site import Paths

LARGEST_TEXT = 4 * 1024 * 1024
"""Bytes of a shared file we are ready to edit; configuration files are far smaller."""


@dataclass(frozen=True, slots=True)
class PathState:
    """What lies at a path. ``type``: file, directory, link or other; ``mode``: permission bits.

    ``digest``: sha256 of a file's content, in hex, with known secrets put back to their references.
    ``link``: where a link points. Owner and group by name, by number where they have none.
    """

    type: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    digest: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class PathInfo:
    """What lies at a path, None when nothing does.

    ``secrets`` are those its content should hold: their values are taken out before the digest is
    made, so that facts, plans and predictions are about text with references and never hold a value.
    """

    path: str
    secrets: tuple[Secret, ...] = ()

    def load(self, probe: Probe) -> PathState | Unknown | None:
        stat = probe.stat(self.path)
        if stat is None:
            return None
        owner, group = names_of(probe, stat.uid, stat.gid)
        if stat.is_link:
            return PathState("link", 0o777, owner, group, link=probe.readlink(self.path))
        if stat.is_dir:
            return PathState("directory", stat.permissions, owner, group)
        if not stat.is_file:
            return PathState("other", stat.permissions, owner, group)
        digest = self._digest(probe)
        return PathState("file", stat.permissions, owner, group, digest)

    def _digest(self, probe: Probe) -> str:
        if not self.secrets:
            return probe.digest(self.path)
        content = probe.read(self.path)
        for secret in self.secrets:
            if value := secret_value(probe, secret):
                content = content.replace(value.encode(), str(secret).encode())
        return sha256(content)


@dataclass(frozen=True, slots=True)
class TextAt:
    """The text of a file that several write to (fstab, hosts); None when there is no such file."""

    path: str

    def load(self, probe: Probe) -> str | Unknown | None:
        stat = probe.stat(self.path)
        if stat is None:
            return None
        if stat.is_dir or stat.size > LARGEST_TEXT:
            return Unknown(f"{self.path} is no text file")
        try:
            return probe.read(self.path).decode()
        except UnicodeDecodeError:
            return Unknown(f"{self.path} is not UTF-8 text")


SEAL = "# Written by olares-cli; changes made here are undone by the next install."


def sealed(text: str) -> str:
    """A text below a line by which it is known for ours later on, and for as we wrote it."""
    return f"{SEAL} {sha256(text.encode())[:16]}\n{text}"


@dataclass(frozen=True, slots=True)
class SealedFiles:
    """Files called ``name``, each in a directory of its own below ``folder``, that we wrote: path, and whether it
    is still as we wrote it."""

    folder: str
    name: str

    def load(self, probe: Probe) -> tuple[tuple[str, bool], ...] | Unknown:
        found = []
        for entry in probe.listdir(self.folder):
            path = f"{self.folder}/{entry}/{self.name}"
            stat = probe.stat(path)
            if stat is None or not stat.is_file or stat.size > LARGEST_TEXT:
                continue
            text = probe.read(path).decode(errors="replace")
            if text.startswith(SEAL):
                found.append((path, sealed(text.partition("\n")[2]) == text))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class DirectoryEmpty:
    """Whether a directory is absent or has no entries."""

    path: str

    def load(self, probe: Probe) -> bool | Unknown:
        return not probe.listdir(self.path)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names_of(probe: Probe, uid: int, gid: int) -> tuple[str, str]:
    """Owner and group by name, or their numbers as text where the system has no name for them."""
    if uid == 0 and gid == 0:
        return "root", "root"
    users = {record.uid: name for name, record in parse_users(probe.read("/etc/passwd").decode()).items()}
    groups = {record.gid: name for name, record in parse_groups(probe.read("/etc/group").decode()).items()}
    return users.get(uid, str(uid)), groups.get(gid, str(gid))


def ids_of(probe: Probe, owner: str, group: str) -> tuple[int, int] | None:
    """The numbers behind two names; None while either is unknown to the system."""
    if (owner, group) == ("root", "root"):
        return 0, 0
    users = parse_users(probe.read("/etc/passwd").decode())
    groups = parse_groups(probe.read("/etc/group").decode())
    uid = int(owner) if owner.isdigit() else users[owner].uid if owner in users else None
    gid = int(group) if group.isdigit() else groups[group].gid if group in groups else None
    return None if uid is None or gid is None else (uid, gid)


def secret_value(probe: Probe, secret: Secret) -> str | None:
    """A secret's value in the form asked for, None while it is not in the store."""
    path = f"{Paths.from_environment().secrets}/{secret.name}"
    if probe.stat(path) is None:
        return None
    value = probe.read(path)
    return base64.b64encode(value).decode() if secret.encoding == "base64" else value.decode()


def filled_digest(probe: Probe, text: str) -> str:
    """The sha256 a text will have once its secrets are filled in; "" while one is missing."""
    for secret in secrets_in(text):
        value = secret_value(probe, secret)
        if value is None:
            return ""
        text = text.replace(str(secret), value)
    return sha256(text.encode())


@dataclass(frozen=True, slots=True)
class BeforeImage:
    """What lay at a path before we changed it, enough to put it back.

    ``content`` is kept here only for small world-readable text; other files lie in ``store``, a
    root-only place named by their digest. ``parents``: directories missing then, deepest first.
    """

    type: str = "absent"
    mode: int = 0
    uid: int = 0
    gid: int = 0
    digest: str = ""
    content: str | None = None
    link: str = ""
    store: str = ""
    parents: tuple[str, ...] = field(default=())


SMALL = 16 * 1024
"""Bytes of a before-image that may sit in the journal."""


def before_image(probe: Probe, path: str) -> BeforeImage:
    """The before-image of a path; pure reading, the store is filled by the action that overwrites."""
    stat = probe.stat(path)
    if stat is None:
        return BeforeImage(parents=missing_parents(probe, path))
    if stat.is_link:
        return BeforeImage("link", 0o777, stat.uid, stat.gid, link=probe.readlink(path))
    if not stat.is_file:
        return BeforeImage("directory" if stat.is_dir else "other", stat.permissions, stat.uid, stat.gid)
    digest, content = probe.digest(path), None
    if stat.permissions & 0o004 and stat.size <= SMALL:
        try:
            content = probe.read(path).decode()
        except UnicodeDecodeError:
            content = None
    store = "" if content is not None else f"{Paths.from_environment().before}/{digest}"
    return BeforeImage("file", stat.permissions, stat.uid, stat.gid, digest, content, store=store)


def missing_parents(probe: Probe, path: str) -> tuple[str, ...]:
    """The directories above a path that do not exist, deepest first."""
    missing: list[str] = []
    parent = path.rpartition("/")[0]
    while parent and probe.stat(parent) is None:
        missing.append(parent)
        parent = parent.rpartition("/")[0]
    return tuple(missing)


BEGIN, END = "# BEGIN olares {marker}", "# END olares {marker}"


@dataclass(frozen=True, slots=True)
class Split:
    """A shared file around one marked block; ``block`` is None when it is not there."""

    head: str
    block: str | None
    tail: str


def split_block(text: str, marker: str) -> Split:
    """Find a marked block. An unclosed one ends with its begin line: nothing else is taken for ours."""
    begin, end = BEGIN.format(marker=marker), END.format(marker=marker)
    lines = text.splitlines(keepends=True)
    bare = [line.rstrip("\r\n") for line in lines]
    if begin not in bare:
        return Split(text, None, "")
    first = bare.index(begin)
    last = bare.index(end, first) if end in bare[first:] else first
    return Split("".join(lines[:first]), "".join(lines[first + 1 : last]), "".join(lines[last + 1 :]))


def with_block(text: str, marker: str, block: str) -> str:
    """The text with our block in its old place, or at the end."""
    split = split_block(text, marker)
    head = split.head if not split.head or split.head.endswith("\n") else split.head + "\n"
    body = block if block.endswith("\n") or not block else block + "\n"
    return f"{head}{BEGIN.format(marker=marker)}\n{body}{END.format(marker=marker)}\n{split.tail}"


def without_block(text: str, marker: str) -> str:
    split = split_block(text, marker)
    return split.head + split.tail
