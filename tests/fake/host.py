"""The fake's two faces: the same protocols as ``LocalProbe`` and ``LocalHost``, on a ``FakeMachine``."""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO

from installers.core.errors import Failure
from installers.core.host.files import temporary_name
from installers.core.host.mounts import mount_below
from installers.core.host.queries import argv_of
from installers.core.host.runner import KEEP
from installers.core.host.scopes import Scope, Scopes
from installers.core.host.secrets import reveal
from installers.core.model import Kind, Object, Output, Query, Ref, Stat, secrets_in
from installers.site import Paths
from tests.fake.commands import Call
from tests.fake.machine import BOOT, FakeMachine
from tests.fake.tree import error

STAND_IN = b"stand-in "
"""Begins a file that stands in for a large one: its digest and size follow, and the fake answers with them."""

EmitProgress = Callable[[int, int | None, str, str], None]


class FakeProbe:
    """Reads a fake machine. Queries outside the real table are refused as they are in life."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine

    def read(self, path: str) -> bytes:
        with self.machine.lock:
            return self.machine.tree.read(path)

    def stat(self, path: str) -> Stat | None:
        with self.machine.lock:
            tree = self.machine.tree
            try:
                node = tree.find(path, follow=False)
            except NotADirectoryError:
                return None
            if node is None:
                return None
            size = len(node.content) if node.type != "dir" else 4096
            if node.content.startswith(STAND_IN):
                size = int(node.content.split()[2])
            return Stat(node.st_mode, node.uid, node.gid, size, tree.device(tree.real(path, last=False)), node.inode)

    def listdir(self, path: str) -> tuple[str, ...]:
        with self.machine.lock:
            return self.machine.tree.names(path)

    def readlink(self, path: str) -> str:
        with self.machine.lock:
            node = self.machine.tree.get(path, follow=False)
            if node.type != "link":
                raise error(errno.EINVAL, path)
            return node.content.decode()

    def digest(self, path: str) -> str:
        if self.machine.tree.get(path, follow=True).type != "file":
            raise error(errno.EINVAL, path)
        content = self.read(path)
        return content.split()[1].decode() if content.startswith(STAND_IN) else hashlib.sha256(content).hexdigest()

    def free_bytes(self, path: str) -> int:
        return self.machine.free

    def query(self, query: Query) -> Output:
        argv = argv_of(query)
        if argv[0] in self.machine.missing:
            raise Failure("OLR-HOST-003", program=argv[0])
        with self.machine.lock:
            return self.machine.ask(query)

    def objects(self, kind: Kind) -> tuple[Object, ...]:
        with self.machine.lock:
            return self.machine.cluster.list(kind)


class FakeHost(FakeProbe):
    """Changes a fake machine. Every changing call is one mutation that ``crash_at`` can hit.

    ``scope``: told of processes as the real one is; None in tests that look elsewhere.
    """

    def __init__(
        self,
        machine: FakeMachine,
        *,
        paths: Paths | None = None,
        scope: Scopes | None = None,
        emit_progress: EmitProgress | None = None,
    ) -> None:
        super().__init__(machine)
        self._paths = paths or Paths()
        self._scopes = scope
        self._emit_progress = emit_progress

    def _mutate(self, what: str, steps: Iterator[None]) -> None:
        with self.machine.lock:
            self.machine.crash.drive(what, steps)

    def open(self, path: str) -> IO[bytes]:
        return io.BytesIO(self.read(path))

    def write(
        self, path: str, content: bytes | Iterable[bytes], *, mode: int = 0o644, uid: int = 0, gid: int = 0
    ) -> None:
        whole = content if isinstance(content, bytes) else b"".join(content)

        def steps() -> Iterator[None]:
            tree, temporary = self.machine.tree, temporary_name(path)
            if tree.find(temporary, follow=False):
                tree.unlink(temporary)
            tree.put(temporary, "file", mode=mode, uid=uid, gid=gid, content=whole)
            yield
            try:
                tree.rename(temporary, path)
            except OSError:
                tree.unlink(temporary)
                raise

        self._mutate(f"write {path}", steps())

    def mkdir(self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        def steps() -> Iterator[None]:
            node = self.machine.tree.find(path, follow=False)
            if node is not None and node.type != "dir":
                raise error(errno.EEXIST, path)
            if node is None:
                node = self.machine.tree.put(path, "dir", mode=0o700)
                yield
            node.mode, node.uid, node.gid = mode, uid, gid

        self._mutate(f"mkdir {path}", steps())

    def symlink(self, path: str, target: str) -> None:
        def steps() -> Iterator[None]:
            tree, temporary = self.machine.tree, temporary_name(path)
            if tree.find(temporary, follow=False):
                tree.unlink(temporary)
            tree.put(temporary, "link", mode=0o777, content=target.encode())
            yield
            try:
                tree.rename(temporary, path)
            except OSError:
                tree.unlink(temporary)
                raise

        self._mutate(f"symlink {path}", steps())

    def chmod(self, path: str, mode: int) -> None:
        def steps() -> Iterator[None]:
            node = self.machine.tree.get(path, follow=False)
            if node.type == "link":
                raise error(errno.ELOOP, path)
            node.mode = mode
            yield

        self._mutate(f"chmod {path}", steps())

    def chown(self, path: str, uid: int, gid: int) -> None:
        def steps() -> Iterator[None]:
            node = self.machine.tree.get(path, follow=False)
            node.uid, node.gid = uid, gid
            yield

        self._mutate(f"chown {path}", steps())

    def move(self, source: str, destination: str) -> None:
        def steps() -> Iterator[None]:
            self.machine.tree.rename(source, destination)
            yield

        self._mutate(f"move {source}", steps())

    def remove(self, path: str) -> None:
        def steps() -> Iterator[None]:
            for name in (temporary_name(path), path):
                try:
                    self.machine.tree.unlink(name)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                yield

        self._mutate(f"remove {path}", steps())

    def remove_tree(self, path: str) -> None:
        def steps() -> Iterator[None]:
            tree = self.machine.tree
            node = tree.find(path, follow=False)
            if node is None:
                return
            at = tree.real(path, last=False)
            mount = mount_below(tree.mountinfo(), at)
            if mount is not None and node.type == "dir":
                raise Failure("OLR-HOST-006", path=path, mount=mount)
            below = tree.below(at) if node.type == "dir" else []
            for name in [*reversed(below), at]:
                tree.unlink(name)
                yield

        self._mutate(f"remove_tree {path}", steps())

    def set(self, path: str, value: str) -> None:
        def steps() -> Iterator[None]:
            node = self.machine.tree.get(path, follow=True)
            node.content = value.encode() + b"\n"
            yield

        self._mutate(f"set {path}", steps())

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
        if any(secrets_in(text) for text in (*argv, *(env or {}).values())):
            raise ValueError("a secret may not stand in a command line or an environment")
        effect = self.machine.effect(list(argv))
        if effect is None:
            raise Failure("OLR-HOST-003", program=argv[0])
        call = Call(list(argv), input, env or {})
        scope = self._opened()
        self._mutate(f"run {' '.join(argv)}", effect(self.machine, call))
        if scope is not None and self._scopes is not None:
            self._scopes.closed(scope)
        if on_line is not None:
            for line in (call.stdout + call.stderr).splitlines():
                on_line(line)
        if call.code not in ok:
            tail = (call.stderr.strip() or call.stdout.strip() or "it wrote nothing").replace("\n", " | ")
            raise Failure("OLR-HOST-001", program=argv[0], code=call.code, tail=tail)
        return Output(call.code, call.stdout[-KEEP:], call.stderr[-KEEP:])

    def _opened(self) -> Scope | None:
        """The scope of a process about to start, of a boot that is over when the machine crashes."""
        if self._scopes is None:
            return None
        scope = Scope(self._scopes.name(), "group", "", 4242, 1, BOOT)
        self._scopes.opened(scope)
        return scope

    def apply_object(self, content: Object, *, prune: bool = False) -> Object:
        applied: list[Object] = []

        def steps() -> Iterator[None]:
            applied.append(self.machine.cluster.apply(content))
            yield

        self._mutate(f"apply {content['kind']} {content['metadata']['name']}", steps())
        return applied[0]

    def delete_object(self, ref: Ref, uid: str) -> None:
        def steps() -> Iterator[None]:
            self.machine.cluster.delete(ref, uid)
            yield

        self._mutate(f"delete {ref}", steps())

    def reveal(self, text: str) -> str:
        return reveal(text, self._paths, self.read)

    def progress(self, done: int, total: int | None, unit: str, text: str = "") -> None:
        if self._emit_progress is not None:
            self._emit_progress(done, total, unit, text)
