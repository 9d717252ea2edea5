"""The one function that runs every process."""

from __future__ import annotations

import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from installers.core.errors import Failure, Interrupted
from installers.core.host.scopes import GRACE, MARK, Scope, Scopes, boot_id, end, has_systemd, start_time
from installers.core.model import Output, secrets_in

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = (
    *("HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"),
)
"""Variables of our own environment that a child may see; everything else stays here."""

KEEP = 64 * 1024
"""Bytes kept of the end of each stream; ``Failure`` shows the last lines of it."""

TAIL_LINES = 5
TAIL_LENGTH = 1000
_LINGER = 1.0
"""Seconds to read on when the process has ended but something it started still holds its streams."""

# The gate: a child that waits for one byte and then becomes the program. Its pid and start time
# are in the journal before that byte is written; when we die first, it reads the end and leaves.
_GATE = "import os,sys; fd=int(sys.argv[1]); go=os.read(fd,1); os.close(fd); go and os.execv(sys.argv[2],sys.argv[2:])"


@dataclass(slots=True)
class Stream:
    """The end of one stream, at most ``limit`` bytes, and its lines as they come."""

    limit: int
    on_line: Callable[[str], None] | None
    kept: bytearray = field(default_factory=bytearray)
    dropped: bool = False
    _line: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> None:
        self.kept += chunk
        if len(self.kept) > self.limit:
            del self.kept[: len(self.kept) - self.limit]
            self.dropped = True
        if self.on_line is None:
            return
        # Progress meters end their lines with a carriage return.
        *lines, rest = (self._line + chunk).replace(b"\r", b"\n").split(b"\n")
        self._line = rest[-KEEP:]
        for line in lines:
            if line:
                self.on_line(line.decode(errors="replace"))

    def close(self) -> None:
        if self.on_line is not None and self._line:
            self.on_line(self._line.decode(errors="replace"))
            self._line = bytearray()

    def text(self) -> str:
        return self.kept.decode(errors="replace")


def run_process(
    argv: Sequence[str],
    *,
    timeout: float,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    ok: Sequence[int] | None = (0,),
    on_line: Callable[[str], None] | None = None,
    scopes: Scopes | None = None,
    complete: int = 0,
) -> Output:
    """Run a program to its end, in a session of its own, with ``LC_ALL=C`` and a closed stdin.

    ``ok``: exit statuses that are no failure; None takes any. ``scopes``: who is told of the
    process before it begins (reads have none). ``complete``: bytes of output that must be whole,
    for answers that get parsed; 0 keeps the end of each stream only.

    Raises ``ValueError`` for a secret in argv or environment; ``Failure`` OLR-HOST-001 (exit
    status), 002 (timeout, everything it started has been ended), 003 (no such program), 005
    (answer longer than ``complete``). An interrupt ends the process before it travels on.
    """
    program = _resolve(argv, env or {})
    streams = (Stream(complete or KEEP, on_line), Stream(complete or KEEP, on_line))
    environment = _environment(env or {})
    child = _Child(program, list(argv), environment, scopes)
    try:
        process = child.start(subprocess.DEVNULL if input is None else subprocess.PIPE)
        finished = _pump(process, streams, input or b"", timeout, scopes.interrupted if scopes else None)
    except BaseException:
        child.kill()
        raise
    if not finished:
        child.kill()
        raise Failure("OLR-HOST-002", program=argv[0], seconds=f"{timeout:g}", tail=_tail(streams))
    child.close()
    code = process.returncode
    if complete and streams[0].dropped:
        raise Failure("OLR-HOST-005", program=argv[0], limit=complete >> 20)
    if ok is not None and code not in ok:
        raise Failure("OLR-HOST-001", program=argv[0], code=code, tail=_tail(streams))
    return Output(code, streams[0].text(), streams[1].text())


def _resolve(argv: Sequence[str], env: Mapping[str, str]) -> str:
    for text in (*argv, *env.values()):
        if secrets_in(text):
            raise ValueError("a secret may not stand in a command line or an environment")
    found = shutil.which(argv[0], path=env.get("PATH", PATH))
    if found is None:
        raise Failure("OLR-HOST-003", program=argv[0])
    return found


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": PATH, **passed, **env, "LC_ALL": "C"}


def _tail(streams: tuple[Stream, Stream]) -> str:
    """The last lines of what the program said, errors rather than output."""
    text = streams[1].text().strip() or streams[0].text().strip()
    return " | ".join(line.strip() for line in text.splitlines()[-TAIL_LINES:])[-TAIL_LENGTH:] or "it wrote nothing"


class _Child:
    """A process from its start to the end of everything in its scope."""

    def __init__(self, program: str, argv: list[str], environment: dict[str, str], scopes: Scopes | None) -> None:
        self._program = program
        self._argv = argv
        self._environment = environment
        self._scopes = scopes
        self._scope: Scope | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, stdin: int) -> subprocess.Popen[bytes]:
        """Start the program, known to the journal first where it has one."""
        name = self._scopes.name() if self._scopes else f"olares-read-{secrets.token_hex(8)}"
        self._environment[MARK] = name
        if self._scopes is None:
            process = self._spawn([self._program, *self._argv[1:]], stdin)
            self._scope = _group(name, process.pid)
            return process
        # Another user than root would be asked for a password before systemd makes a scope for them.
        if has_systemd() and os.geteuid() == 0:
            self._scope = Scope(name, "systemd", f"{name}.scope", 0, 0, boot_id())
            self._scopes.opened(self._scope)
            options = ["--scope", "--quiet", "--collect", f"--unit={name}"]
            return self._spawn(["systemd-run", *options, "--", self._program, *self._argv[1:]], stdin)
        return self._start_behind_gate(self._scopes, name, stdin)

    def _start_behind_gate(self, scopes: Scopes, name: str, stdin: int) -> subprocess.Popen[bytes]:
        inside, outside = os.pipe()
        try:
            gate = [sys.executable, "-I", "-S", "-c", _GATE, str(inside), self._program, *self._argv[1:]]
            process = self._spawn(gate, stdin, pass_fds=(inside,))
            self._scope = _group(name, process.pid)
            scopes.opened(self._scope)
            with suppress(BrokenPipeError):
                os.write(outside, b"!")
        finally:
            os.close(inside)
            os.close(outside)
        return process

    def _spawn(self, argv: list[str], stdin: int, *, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            cwd="/",
            start_new_session=True,
            pass_fds=pass_fds,
        )
        return self._process

    def kill(self) -> None:
        """End the process and everything it started; nothing of it is left when this returns."""
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            if self._scope is not None:
                end(self._scope)
            if process.poll() is None:
                process.kill()
            process.wait(GRACE)
        self.close()

    def close(self) -> None:
        process = self._process
        if process is not None:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        if self._scope is not None and self._scopes is not None:
            self._scopes.closed(self._scope)
        self._scope = None


def _group(name: str, pid: int) -> Scope:
    return Scope(name, "group", "", pid, start_time(pid), boot_id())


def _pump(
    process: subprocess.Popen[bytes],
    streams: tuple[Stream, Stream],
    input: bytes,
    timeout: float,
    interrupted: Callable[[], bool] | None,
) -> bool:
    """Feed and read a process until it ends; False when ``timeout`` seconds have passed before."""
    deadline = time.monotonic() + timeout
    ended: float | None = None
    with selectors.DefaultSelector() as selector:
        for pipe, stream in zip((process.stdout, process.stderr), streams, strict=True):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, _Reader(pipe, stream))
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, _Writer(process.stdin, memoryview(input)))
        while selector.get_map():
            if interrupted is not None and interrupted():
                raise Interrupted
            now = time.monotonic()
            if ended is None and process.poll() is not None:
                ended = now
            if now > deadline or (ended is not None and now > ended + _LINGER):
                break
            for key, _ in selector.select(min(0.1, max(0.0, deadline - now))):
                # Unregistered before the end of input closes the pipe and its number is given again.
                selector.unregister(key.fileobj)
                if key.data.move():
                    selector.register(key.fileobj, key.events, key.data)
    for stream in streams:
        stream.close()
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


@dataclass(slots=True)
class _Reader:
    """Moves what a pipe holds into a stream; ``move`` is False at the pipe's end."""

    pipe: IO[bytes]
    stream: Stream

    def move(self) -> bool:
        chunk = os.read(self.pipe.fileno(), 65536)
        self.stream.feed(chunk)
        return bool(chunk)


@dataclass(slots=True)
class _Writer:
    """Moves input into a pipe as fast as it is taken; ``move`` is False when all is in or nobody reads."""

    pipe: IO[bytes]
    rest: memoryview

    def move(self) -> bool:
        try:
            self.rest = self.rest[os.write(self.pipe.fileno(), self.rest[:65536]) :]
        except BrokenPipeError:
            self.rest = self.rest[:0]
        if not self.rest:
            self.pipe.close()
        return bool(self.rest)
