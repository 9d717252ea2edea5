"""A file server shaped to a rate over all its connections, for measuring clients; a process of its own.

python -m tests.bench.shaped FILE BYTES_PER_SECOND     prints its port, serves until its standard input ends
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

_GRAIN = 64 << 10
_BURST = 0.01
"""Seconds of traffic that may go at once after a pause."""

_RANGE = re.compile(rb"(?i)\r\nrange: bytes=(\d+)-(\d*)")


@dataclass(slots=True)
class Bucket:
    """Tokens are bytes; who takes more than there are waits until they have come."""

    rate: float
    due: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, size: int) -> None:
        with self.lock:
            now = time.monotonic()
            self.due = max(self.due, now - _BURST) + size / self.rate
            wait = self.due - now
        if wait > 0:
            time.sleep(wait)


def answer(connection: socket.socket, file: int, size: int, bucket: Bucket) -> None:
    """Serve requests of one connection until it ends."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    text = b""
    while True:
        while b"\r\n\r\n" not in text:
            chunk = connection.recv(1 << 16)
            if not chunk:
                return
            text += chunk
        head, _, text = text.partition(b"\r\n\r\n")
        asked = _RANGE.search(head)
        start, end = (int(asked[1]), int(asked[2] or size - 1) + 1) if asked else (0, size)
        status = b"206 Partial Content" if asked else b"200 OK"
        fields = (status, end - start, start, end - 1, size)
        fixed = b"Accept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n\r\n"
        connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n" % fields + fixed)
        if head.startswith(b"HEAD"):
            continue
        while start < end:
            grain = min(_GRAIN, end - start)
            bucket.take(grain)
            while grain:
                sent = os.sendfile(connection.fileno(), file, start, grain)
                start, grain = start + sent, grain - sent


def serve(connection: socket.socket, file: int, size: int, bucket: Bucket) -> None:
    with connection:
        try:
            answer(connection, file, size, bucket)
        except ConnectionError:
            return


def main() -> None:
    file = os.open(Path(sys.argv[1]), os.O_RDONLY)
    size, bucket = os.fstat(file).st_size, Bucket(float(sys.argv[2]))
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, file, size, bucket), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
