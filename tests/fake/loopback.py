"""What servers on the loopback have in common: a context manager, a free port, quiet handlers, short answers."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class LoopbackServer:
    """Serves from entering to leaving it; ``handler`` is the class its requests are made of."""

    address = "127.0.0.1"
    tls: ssl.SSLContext | None = None

    def handler(self) -> type[BaseHTTPRequestHandler]:
        raise NotImplementedError

    def leaving(self) -> None:
        """What is to be told to handlers that are busy."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer((self.address, 0), self.handler())
        self._server.daemon_threads = True
        if self.tls:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leaving()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])


class QuietHandler(BaseHTTPRequestHandler):
    """Keeps connections, says nothing of its own, and minds no peer that goes away."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def short(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A small answer, whole unless ``headers`` say another length."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
