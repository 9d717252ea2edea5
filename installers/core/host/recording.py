"""``RecordingProbe``: another probe, and everything it was asked and answered written down."""

from __future__ import annotations

import base64
import errno
import re
import stat as _stat
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from installers.core.errors import Failure
from installers.core.host.archive import Asked, Entry, Type
from installers.core.model import Kind, Object, Output, Probe, Query, Stat

T = TypeVar("T")

WITHHELD = re.compile(r"/proc/(?:\d+|self|thread-self)(?:/task/\d+)?/(?:environ|cmdline|mem|maps|smaps|stack)")
"""Read on behalf of a fact, and never written down: what processes were told may be anything."""
CONTAINER = re.compile(rb"(?:^|\0)(container=[a-z-]{1,20})(?=\0|$)")
"""What a container's manager tells process 1, by which programs know one (systemd's CONTAINER_INTERFACE)."""

TYPES: Mapping[Type, int] = {
    **{"file": _stat.S_IFREG, "directory": _stat.S_IFDIR, "link": _stat.S_IFLNK, "socket": _stat.S_IFSOCK},
    **{"character": _stat.S_IFCHR, "block": _stat.S_IFBLK, "pipe": _stat.S_IFIFO},
}
"""An entry's type and its bits in a mode."""
USUAL = {"file": 0o644, "directory": 0o755, "link": 0o777}
"""The permission bits that go without saying, by type; 0600 for the others."""


def usual(path: str, type: str) -> int:
    """The permission bits that go without saying at a path: those of the kernel's own files are for reading."""
    if path.startswith(("/proc/", "/sys/")) and type in ("file", "directory"):
        if type == "directory":
            return 0o555 if path.startswith("/proc/") else 0o755
        return 0o644 if path.startswith("/proc/sys/") else 0o444
    return USUAL.get(type, 0o600)


class RecordingProbe:
    """Answers as ``probe`` does. Safe to use from several threads.

    Content of cluster objects and of processes' environments and command lines is not written down.
    ``keeps``: of which other files the content may be.
    """

    def __init__(self, probe: Probe, *, keeps: Callable[[str], bool] = lambda path: True) -> None:
        self._probe = probe
        self._keeps = keeps
        self._guard = threading.Lock()
        self._entries: dict[str, Entry | None] = {}
        self.free: dict[str, int] = {}
        self.asked: dict[Query, Asked] = {}

    def sparing(self, keeps: Callable[[str], bool]) -> RecordingProbe:
        """The same recording; but of what is read through this, the content is kept only where ``keeps`` says so."""
        other = RecordingProbe(self._probe, keeps=keeps)
        other._guard, other._entries, other.free, other.asked = self._guard, self._entries, self.free, self.asked
        return other

    def entries(self) -> dict[str, Entry | None]:
        """What lies where, those above it included."""
        with self._guard:
            return dict(self._entries)

    def _seen(self, path: str) -> Entry | None:
        """The entry of a path, made with those above it the first time it is asked for."""
        parts = path.rstrip("/").split("/")
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[:depth]) or "/"
            with self._guard:
                if above in self._entries:
                    continue
            try:
                found = self._probe.stat(above)
                made = None if found is None else _entry(above, found)
            except OSError as error:
                made = Entry(errors={"stat": name_of(error)})
            with self._guard:
                self._entries.setdefault(above, made)
        with self._guard:
            return self._entries[path.rstrip("/") or "/"]

    def _told(self, path: str, operation: str, ask: Callable[[], T], keep: Callable[[Entry, T], None]) -> T:
        found = self._seen(path)
        try:
            answer = ask()
        except OSError as error:
            if found is not None:
                with self._guard:
                    found.errors[operation] = name_of(error)
            raise
        with self._guard:
            if found is None:
                # It came into being between two looks: what was read counts.
                found = self._entries[path] = Entry()
            keep(found, answer)
        return answer

    def read(self, path: str) -> bytes:
        if WITHHELD.fullmatch(path):
            return self._told(path, "read", lambda: self._probe.read(path), _keep_kind if path == FIRST else _keep_none)
        return self._told(
            path, "read", lambda: self._probe.read(path), _keep_content if self._keeps(path) else _keep_none
        )

    def stat(self, path: str) -> Stat | None:
        self._seen(path)
        return self._probe.stat(path)

    def listdir(self, path: str) -> tuple[str, ...]:
        def keep(found: Entry, names: tuple[str, ...]) -> None:
            found.names = list(names)

        if self._seen(path) is None:
            return self._probe.listdir(path)
        return self._told(path, "listdir", lambda: self._probe.listdir(path), keep)

    def readlink(self, path: str) -> str:
        def keep(found: Entry, target: str) -> None:
            found.type, found.to = "link", target

        return self._told(path, "readlink", lambda: self._probe.readlink(path), keep)

    def digest(self, path: str) -> str:
        def keep(found: Entry, digest: str) -> None:
            found.digest = digest

        return self._told(path, "digest", lambda: self._probe.digest(path), keep)

    def free_bytes(self, path: str) -> int:
        answer = self._probe.free_bytes(path)
        with self._guard:
            self.free[path] = answer
        return answer

    def query(self, query: Query) -> Output:
        row = Asked(name=query.name, args=list(query.args))
        try:
            answer = self._probe.query(query)
        except Failure as failure:
            row.failure = failure.id
            row.fields = {name: str(value) for name, value in failure.fields.items()}
            self._note(query, row)
            raise
        row.code, row.stdout, row.stderr = answer.code, answer.stdout, answer.stderr
        self._note(query, row)
        return answer

    def _note(self, query: Query, row: Asked) -> None:
        with self._guard:
            self.asked[query] = row

    def objects(self, kind: Kind) -> tuple[Object, ...]:
        return self._probe.objects(kind)


def name_of(error: OSError) -> str:
    """An error by its name (ENOENT): numbers differ between systems."""
    return errno.errorcode.get(error.errno or 0, "EIO")


def _entry(path: str, found: Stat) -> Entry:
    type = next(name for name, bits in TYPES.items() if _stat.S_IFMT(found.mode) == bits)
    mode = None if found.permissions == usual(path, type) else f"{found.permissions:04o}"
    size = found.size if type == "file" else None
    return Entry(type=type, mode=mode, uid=found.uid, gid=found.gid, size=size, device=found.device, inode=found.inode)


def _keep_content(found: Entry, content: bytes) -> None:
    found.size = None
    try:
        found.text = content.decode()
    except UnicodeDecodeError:
        found.base64 = base64.b64encode(content).decode()


FIRST = "/proc/1/environ"


def _keep_kind(found: Entry, content: bytes) -> None:
    """Of the first process's environment nothing but the kind of container it is in."""
    kind = CONTAINER.search(content)
    found.text, found.size = f"{kind[1].decode()}\0" if kind else "", None


def _keep_none(found: Entry, content: bytes) -> None:
    """Nothing."""


def mode_of(path: str, found: Entry) -> int:
    """An entry's type and permission bits as ``lstat`` tells them."""
    return TYPES[found.type] | (usual(path, found.type) if found.mode is None else int(found.mode, 8))
