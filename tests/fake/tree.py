"""A file system in memory: directories, files and links with owners and modes, and mount points."""

from __future__ import annotations

import errno
import itertools
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Type = Literal["dir", "file", "link"]
_FORMAT = {"dir": stat.S_IFDIR, "file": stat.S_IFREG, "link": stat.S_IFLNK}


def error(number: int, path: str) -> OSError:
    """The OSError the kernel would answer with (its subclass follows from the number)."""
    return OSError(number, os.strerror(number), path)


@dataclass(slots=True)
class Node:
    """One entry. ``content``: a file's bytes or a link's goal."""

    type: Type
    mode: int
    uid: int
    gid: int
    content: bytes = b""
    inode: int = 0

    @property
    def st_mode(self) -> int:
        return _FORMAT[self.type] | self.mode


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo: where, what and how."""

    point: str
    source: str
    type: str
    options: str = "rw,relatime"
    root: str = "/"


@dataclass(slots=True)
class Tree:
    """Paths to nodes. ``live``: files whose content is computed when read (/proc). ``last``: what happens when
    a path is removed, for state that is kept elsewhere and goes with it.
    """

    nodes: dict[str, Node] = field(default_factory=lambda: {"/": Node("dir", 0o755, 0, 0, inode=1)})
    mounts: list[Mount] = field(default_factory=lambda: [Mount("/", "/dev/vda1", "ext4")])
    live: dict[str, Callable[[], str]] = field(default_factory=dict)
    last: dict[str, Callable[[], None]] = field(default_factory=dict)
    _inodes: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    def real(self, path: str, *, last: bool = True, depth: int = 0) -> str:
        """The path with links followed; ``last``: also the final one."""
        if not path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"not an absolute path: {path!r}")
        if depth > 40:
            raise error(errno.ELOOP, path)
        at, node = "", self.nodes.get("/")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        for number, part in enumerate(parts):
            if node is not None and node.type == "file":
                raise error(errno.ENOTDIR, path)
            here = f"{at}/{part}"
            node = self.nodes.get(here)
            if node is not None and node.type == "link" and (last or number < len(parts) - 1):
                goal = posixpath.normpath(posixpath.join(at or "/", node.content.decode()))
                here = self.real(goal, depth=depth + 1)
                node = self.nodes.get(here)
            at = "" if here == "/" else here
        return at or "/"

    def find(self, path: str, *, follow: bool) -> Node | None:
        at = self.real(path, last=follow)
        return self.nodes.get(at) or (Node("file", 0o444, 0, 0) if at in self.live else None)

    def get(self, path: str, *, follow: bool) -> Node:
        node = self.find(path, follow=follow)
        if node is None:
            raise error(errno.ENOENT, path)
        return node

    def read(self, path: str) -> bytes:
        at = self.real(path)
        if at in self.live:
            return self.live[at]().encode()
        node = self.get(at, follow=True)
        if node.type == "dir":
            raise error(errno.EISDIR, path)
        return node.content

    def text(self, path: str) -> str:
        return self.read(path).decode()

    def exists(self, path: str) -> bool:
        return self.find(path, follow=True) is not None

    def names(self, path: str) -> tuple[str, ...]:
        at = self.real(path)
        node = self.nodes.get(at)
        if node is not None and node.type != "dir":
            raise error(errno.ENOTDIR, path)
        return tuple(sorted(name.rpartition("/")[2] for name in (*self.nodes, *self.live) if _parent(name) == at))

    def below(self, path: str) -> list[str]:
        """Every path under a directory, parents first."""
        return sorted(name for name in self.nodes if name.startswith(f"{path.rstrip('/')}/") and name != "/")

    def put(self, path: str, type: Type, *, mode: int, uid: int = 0, gid: int = 0, content: bytes = b"") -> Node:
        """Set an entry as a rename would: the directory must be there, a directory gives way to nothing."""
        at = self.real(path, last=False)
        parent = self.nodes.get(_parent(at))
        if parent is None:
            raise error(errno.ENOENT, path)
        present = self.nodes.get(at)
        if present is not None and present.type == "dir":
            raise error(errno.EEXIST if type == "dir" else errno.EISDIR, path)
        node = Node(type, mode, uid, gid, content, next(self._inodes))
        self.nodes[at] = node
        return node

    def unlink(self, path: str) -> None:
        """Remove one entry; a directory must be empty, and nothing may be mounted on it."""
        at = self.real(path, last=False)
        if at not in self.nodes:
            raise error(errno.ENOENT, path)
        if any(mount.point == at for mount in self.mounts):
            raise error(errno.EBUSY, path)
        if self.nodes[at].type == "dir" and self.names(at):
            raise error(errno.ENOTEMPTY, path)
        del self.nodes[at]
        if at in self.last:
            self.last[at]()

    def rename(self, source: str, destination: str) -> None:
        old, new = self.real(source, last=False), self.real(destination, last=False)
        node, there = self.get(old, follow=False), self.nodes.get(new)
        if _parent(new) not in self.nodes:
            raise error(errno.ENOENT, destination)
        if self.device(old) != self.device(_parent(new)):
            raise error(errno.EXDEV, destination)
        if there is not None and there.type == "dir":
            if node.type != "dir":
                raise error(errno.EISDIR, destination)
            if self.names(new):
                raise error(errno.ENOTEMPTY, destination)
        elif there is not None and node.type == "dir":
            raise error(errno.ENOTDIR, destination)
        moved = [old, *self.below(old)] if node.type == "dir" else [old]
        for path in moved:
            self.nodes[new + path[len(old) :]] = self.nodes.pop(path)

    def device(self, path: str) -> int:
        """A number per mount, that of the deepest one the path lies on."""
        on = [
            (len(m.point), n) for n, m in enumerate(self.mounts) if path == m.point or path.startswith(_slash(m.point))
        ]
        return 2048 + max(on)[1]

    # what tests and packages lay down, making directories on the way

    def directory(self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        at = self.real(path)
        if at in self.nodes:
            return
        self.directory(_parent(at))
        self.put(at, "dir", mode=mode, uid=uid, gid=gid)

    def file(self, path: str, content: str | bytes = b"", *, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        self.directory(_parent(path))
        data = content.encode() if isinstance(content, str) else content
        self.put(path, "file", mode=mode, uid=uid, gid=gid, content=data)

    def link(self, path: str, goal: str) -> None:
        self.directory(_parent(path))
        self.put(path, "link", mode=0o777, content=goal.encode())

    def mountinfo(self) -> str:
        rows = (
            f"{20 + n} {1 if n == 0 else 20} 0:{40 + n} {_escape(m.root)} {_escape(m.point)} {m.options} shared:{n}"
            f" - {m.type} {_escape(m.source)} rw\n"
            for n, m in enumerate(self.mounts)
        )
        return "".join(rows)


def _escape(text: str) -> str:
    return text.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")


def _parent(path: str) -> str:
    return "" if path == "/" else path.rpartition("/")[0] or "/"


def _slash(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"
