"""The two faces of a machine: ``Probe`` can only read, ``Host`` can also act.

Planning code is handed a ``Probe``; that it cannot write is a property of the type,
not of anyone's discipline.
"""

from __future__ import annotations

import stat as _stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

Object = Mapping[str, Any]
"""A Kubernetes object as plain JSON data."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What ``lstat`` says of a path: type and mode bits, owner and group by id, size in bytes."""

    mode: int
    uid: int
    gid: int
    size: int
    device: int
    inode: int

    @property
    def is_dir(self) -> bool:
        return _stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return _stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return _stat.S_ISLNK(self.mode)

    @property
    def permissions(self) -> int:
        return _stat.S_IMODE(self.mode)


@dataclass(frozen=True, slots=True)
class Query:
    """A read-only process: a name from the closed table in ``core.host.queries`` and its arguments."""

    name: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """What a finished process left: exit status and both streams as text."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A Kubernetes resource type: ``Kind("apps/v1", "Deployment", "deployments")``."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True


@dataclass(frozen=True, slots=True)
class Ref:
    """One Kubernetes object by kind, name and namespace (empty for cluster-wide kinds)."""

    kind: Kind
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.name} {where}{self.name}"


class ClusterAbsent(Exception):
    """There is no cluster to ask: no kubeconfig, or nobody answers. Never means "no such object"."""


class ClusterSilent(ClusterAbsent):
    """There is a kubeconfig, so there should be a cluster, but nobody answers."""


class Probe(Protocol):
    """Everything reading needs and nothing else. Paths are absolute, on the host's own root.

    Reads raise ``OSError`` as Python does; ``objects`` raises ``ClusterAbsent``.
    """

    def read(self, path: str) -> bytes: ...
    def stat(self, path: str) -> Stat | None:
        """``lstat`` of the path; None when there is nothing (a missing parent included)."""

    def listdir(self, path: str) -> tuple[str, ...]:
        """Sorted names; empty when there is no such directory."""

    def readlink(self, path: str) -> str: ...
    def digest(self, path: str) -> str:
        """sha256 of a regular file's content, in hex."""

    def free_bytes(self, path: str) -> int:
        """Free space for root where the path lies or would lie."""

    def query(self, query: Query) -> Output: ...
    def objects(self, kind: Kind) -> tuple[Object, ...]:
        """Every object of a kind in all namespaces: one LIST."""


class Host(Probe, Protocol):
    """A probe that can act. Only actions are handed one."""

    def open(self, path: str) -> IO[bytes]:
        """A file's content, to be read in pieces: for what may be larger than memory."""

    def write(
        self, path: str, content: bytes | Iterable[bytes], *, mode: int = 0o644, uid: int = 0, gid: int = 0
    ) -> None:
        """Replace a file as one step: temporary name, fsync, rename, fsync of the directory.

        ``content`` in pieces is written as it comes; an error of the one who gives them leaves all as it was.
        """

    def mkdir(self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None: ...
    def symlink(self, path: str, target: str) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def chown(self, path: str, uid: int, gid: int) -> None: ...
    def move(self, source: str, destination: str) -> None: ...
    def remove(self, path: str) -> None:
        """Remove a file, link or empty directory; nothing happens when it is gone already."""

    def remove_tree(self, path: str) -> None:
        """Remove a directory and all below it, never crossing a mount point."""

    def set(self, path: str, value: str) -> None:
        """Write into a kernel file (/proc/sys, cgroupfs): in place, no temporary name."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        ok: Sequence[int] = (0,),
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        """Run a process to its end in a scope the journal knows; closed stdin unless ``input``.

        Raises ``Failure("OLR-HOST-001")`` for an exit status not in ``ok``, ``OLR-HOST-002`` after
        ``timeout`` seconds. ``on_line`` sees each line of both streams as it comes.
        """

    def apply_object(self, content: Object) -> Object:
        """Server-side apply as field manager ``olares``."""

    def delete_object(self, ref: Ref, uid: str) -> None:
        """Delete one object, only while it still has this UID; gone already is fine."""

    def reveal(self, text: str) -> str:
        """The text with its secret references filled in, to be written at once and kept nowhere."""

    def progress(self, done: int, total: int | None, unit: str, text: str = "") -> None:
        """Report how far the running action is; unit is ``bytes``, ``packages``, ``steps``..."""
