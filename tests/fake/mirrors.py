"""Mirrors of one file on the loopback, each with its own faults, given as data; they count what they serve."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field

from tests.fake.loopback import LoopbackServer, QuietHandler

HTML = b"<html><body>Please sign in</body></html>"


@dataclass(frozen=True, slots=True)
class Faults:
    """What a mirror does wrong; the defaults are a sound one. Counts are answers, sizes bytes."""

    drop_after: int | None = None
    """Reset the connection after this much of an answer."""
    truncate_after: int | None = None
    """End the body politely after this much of it."""
    stall_after: int | None = None
    """Say nothing more after this much of an answer."""
    stalls: int = 1 << 30
    """How many answers stall; the rest are sound."""
    wrong: tuple[int, ...] = ()
    """Offsets of bytes that are given wrong."""
    html: bool = False
    status: int = 0
    refuse: int = 1 << 30
    """How many answers carry ``status``; the rest are sound."""
    retry_after: str = ""
    ranges: bool = True
    extra: int = 0
    """Bytes the mirror's file is longer than the true one, as its headers say."""
    changes_after: int = 0
    """After so many answers it has another version of the file (another ETag), with all bytes inverted before."""
    redirect: str = ""
    rate: float = 0.0
    """Bytes a second of one connection."""
    encoding: str = ""
    shifted: bool = False
    """Answers with another range than the one asked for."""
    closes: bool = False
    """Closes the connection after each answer, and says so."""
    connect: int = 200
    """As a proxy: how it answers CONNECT; 0: it hangs up."""


@dataclass
class MirrorServer(LoopbackServer):
    """Serves ``content`` at any path; a context manager. ``asked``: first byte of each request, None for the whole."""

    content: bytes
    faults: Faults = field(default_factory=Faults)
    tls: ssl.SSLContext | None = None
    asked: list[int | None] = field(default_factory=list)
    served: int = 0
    sockets: int = 0
    authorised: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def handler(self) -> type[_Handler]:
        class Handler(_Handler):
            mirror = self

        return Handler

    def leaving(self) -> None:
        self.over.set()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/file"


class _Handler(QuietHandler):
    mirror: MirrorServer

    def setup(self) -> None:
        with self.mirror.lock:
            self.mirror.sockets += 1
        # Small: what lies in the kernel's buffers would count as served.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
        super().setup()

    def do_GET(self) -> None:
        mirror, faults = self.mirror, self.mirror.faults
        start, end = self._range(len(mirror.content))
        with mirror.lock:
            number = len(mirror.asked)
            mirror.asked.append(start)
            mirror.authorised.append(self.headers.get("Authorization", ""))
            mirror.paths.append(self.path)
            mirror.hosts.append(self.headers.get("Host", ""))
        if faults.redirect:
            self.short(302, b"moved", {"Location": faults.redirect})
        elif faults.html:
            self.short(200, HTML, {"Content-Type": "text/html; charset=utf-8"})
        elif faults.status and number < faults.refuse:
            self.short(faults.status, b"no", {"Retry-After": faults.retry_after} if faults.retry_after else {})
        else:
            self._file(start, end, number)

    def do_CONNECT(self) -> None:
        """As a proxy: a tunnel to anywhere."""
        with self.mirror.lock:
            self.mirror.paths.append(self.path)
            self.mirror.authorised.append(self.headers.get("Proxy-Authorization", ""))
        host, _, port = self.path.partition(":")
        self.close_connection = True
        if not self.mirror.faults.connect:
            return
        if self.mirror.faults.connect != 200:
            self.short(self.mirror.faults.connect, HTML, {"Content-Type": "text/html"})
            return
        try:
            there = socket.create_connection((host, int(port)), 5)
        except OSError:
            self.short(502, HTML, {"Content-Type": "text/html"})
            return
        with there:
            self.send_response(200)
            self.end_headers()
            while not self.mirror.over.is_set():
                for ready in select.select([self.request, there], [], [], 0.1)[0]:
                    chunk = ready.recv(1 << 16)
                    if not chunk:
                        return
                    (there if ready is self.request else self.request).sendall(chunk)

    def _range(self, size: int) -> tuple[int | None, int]:
        asked = self.headers.get("Range", "")
        if not asked or not self.mirror.faults.ranges:
            return None, size
        low, high = asked.removeprefix("bytes=").split("-")
        return int(low), min(int(high) + 1, size)

    def _file(self, start: int | None, end: int, number: int) -> None:
        faults, content = self.mirror.faults, self.mirror.content
        old = number < faults.changes_after
        etag = '"old"' if old else '"new"'
        if self.headers.get("If-Range", etag) != etag:
            start, end = None, len(content)
        size = len(content) + faults.extra
        shift = 1 if faults.shifted else 0
        low = start or 0
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {low + shift}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - low if start is not None else size))
        self.send_header("ETag", etag)
        if faults.encoding:
            self.send_header("Content-Encoding", faults.encoding)
        if faults.closes:
            self.send_header("Connection", "close")
        self.end_headers()
        self._body(low, end, number, invert=old)

    def _body(self, low: int, end: int, number: int, *, invert: bool) -> None:
        faults = self.mirror.faults
        begun, first = time.monotonic(), low
        ends = [cut for cut in (faults.drop_after, faults.truncate_after) if cut is not None]
        if faults.stall_after is not None and number < faults.stalls:
            ends.append(faults.stall_after)
        stop = min(end, low + min(ends, default=end))
        while low < stop and not self.mirror.over.is_set():
            size = min(64 << 10 if not faults.rate else int(max(1, min(64 << 10, faults.rate / 50))), stop - low)
            self.wfile.write(self._bytes(low, low + size, invert=invert))
            low += size
            with self.mirror.lock:
                self.mirror.served += size
            if faults.rate:
                self.mirror.over.wait(max(0.0, begun + (low - first) / faults.rate - time.monotonic()))
        if low < end or faults.extra:
            self._break()

    def _bytes(self, low: int, high: int, *, invert: bool) -> bytes:
        chunk = bytearray(self.mirror.content[low:high])
        if invert:
            chunk = bytearray(byte ^ 0xFF for byte in chunk)
        for at in self.mirror.faults.wrong:
            if low <= at < high:
                chunk[at - low] ^= 0xFF
        return bytes(chunk)

    def _break(self) -> None:
        faults = self.mirror.faults
        self.close_connection = True
        if faults.stall_after is not None:
            self.mirror.over.wait(30)
        if faults.drop_after is not None:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()
