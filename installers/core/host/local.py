"""This machine: ``LocalProbe`` reads it, ``LocalHost`` also changes it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from installers.core.host import files, queries, secrets
from installers.core.host.kubeconfig import ADMIN
from installers.core.host.runner import run_process
from installers.core.host.scopes import Scopes
from installers.core.model import Kind, Object, Output, Query, Ref, Stat
from installers.site import Paths

if TYPE_CHECKING:
    from installers.core.host.kube import KubeReader, KubeWriter

EmitProgress = Callable[[int, int | None, str, str], None]
"""Told ``done``, ``total`` (None: unknown), unit and text."""


class LocalProbe:
    """Reads this machine and has nothing to write with.

    ``root``: directory that absolute paths are taken to lie below; another one than ``/`` is for
    tests, and processes cannot be asked there. Safe to use from several threads.
    """

    def __init__(self, root: str = "/", *, kubeconfig: str = ADMIN) -> None:
        self._root = "" if root == "/" else root.rstrip("/")
        self._kubeconfig = kubeconfig
        self._opening = threading.Lock()
        self._reader: KubeReader | None = None

    def _at(self, path: str) -> str:
        if not path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"not an absolute path: {path!r}")
        return f"{self._root}{path}" if len(path) > 1 else self._root or "/"

    def read(self, path: str) -> bytes:
        return Path(self._at(path)).read_bytes()

    def stat(self, path: str) -> Stat | None:
        try:
            found = os.lstat(self._at(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stat(found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_dev, found.st_ino)

    def listdir(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(self._at(path))))  # noqa: PTH208 (names only)
        except FileNotFoundError:
            return ()

    def readlink(self, path: str) -> str:
        return str(Path(self._at(path)).readlink())

    def digest(self, path: str) -> str:
        # Not blocking: opening a pipe or device by mistake must not hang a plan.
        descriptor = os.open(self._at(path), os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def free_bytes(self, path: str) -> int:
        at = Path(self._at(path))
        while not at.exists():
            at = at.parent
        found = os.statvfs(at)
        return found.f_bavail * found.f_frsize

    def query(self, query: Query) -> Output:
        if self._root:
            raise ValueError("processes are asked about the whole machine, not about a directory")
        return queries.ask(query)

    def objects(self, kind: Kind) -> tuple[Object, ...]:
        from installers.core.host.kube import KubeReader

        with self._opening:
            reader = self._reader = self._reader or KubeReader(self._kubeconfig)
        return reader.list(kind)

    def close(self) -> None:
        """Let go of the API's connection."""
        if self._reader is not None:
            self._reader.close()


class LocalHost(LocalProbe):
    """This machine, to be changed by actions.

    ``paths``: where the installation's own directories are (secrets are read from there).
    ``scope``: told of every process before it begins. ``emit_progress``: told how far actions are.
    ``cluster``: a connection several hosts share, as when a run makes one host per action.
    """

    def __init__(
        self,
        root: str,
        paths: Paths,
        *,
        scope: Scopes,
        emit_progress: EmitProgress,
        kubeconfig: str = ADMIN,
        cluster: KubeWriter | None = None,
    ) -> None:
        super().__init__(root, kubeconfig=kubeconfig)
        self._paths = paths
        self._scopes = scope
        self._emit_progress = emit_progress
        self._cluster = cluster

    def open(self, path: str) -> IO[bytes]:
        return Path(self._at(path)).open("rb")

    def write(
        self, path: str, content: bytes | Iterable[bytes], *, mode: int = 0o644, uid: int = 0, gid: int = 0
    ) -> None:
        files.write(self._at(path), content, mode=mode, uid=uid, gid=gid)

    def mkdir(self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        files.mkdir(self._at(path), mode=mode, uid=uid, gid=gid)

    def symlink(self, path: str, target: str) -> None:
        files.symlink(self._at(path), target)

    def chmod(self, path: str, mode: int) -> None:
        at = Path(self._at(path))
        if at.is_symlink():
            raise OSError(errno.ELOOP, "a link has no mode of its own", path)
        at.chmod(mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(self._at(path), uid, gid, follow_symlinks=False)

    def move(self, source: str, destination: str) -> None:
        files.move(self._at(source), self._at(destination))

    def remove(self, path: str) -> None:
        files.remove(self._at(path))

    def remove_tree(self, path: str) -> None:
        files.remove_tree(self._at(path))

    def set(self, path: str, value: str) -> None:
        files.set_value(self._at(path), value)

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
        return run_process(argv, timeout=timeout, input=input, env=env, ok=ok, on_line=on_line, scopes=self._scopes)

    def apply_object(self, content: Object) -> Object:
        return self._writer().apply(content)

    def delete_object(self, ref: Ref, uid: str) -> None:
        self._writer().delete(ref, uid)

    def _writer(self) -> KubeWriter:
        from installers.core.host.kube import KubeWriter

        self._cluster = self._cluster or KubeWriter(self._kubeconfig)
        return self._cluster

    def reveal(self, text: str) -> str:
        return secrets.reveal(text, self._paths, self.read)

    def progress(self, done: int, total: int | None, unit: str, text: str = "") -> None:
        self._emit_progress(done, total, unit, text)
