"""A folder on a web server of the loopback, with ranges; it counts what it is asked for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

HTML = b"<!DOCTYPE html><html>Sign in to the network</html>"


@dataclass
class WebServer:
    """Serves ``folder``; a context manager. ``asked``: each path. ``statuses``: by path, in place of a file."""

    folder: Path
    asked: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    page: bytes = b""
    """What it says with status 200 whatever it is asked for, as the server of a guest network does."""

    def __enter__(self) -> WebServer:
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/olares"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: WebServer

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        web = self.server_of
        path = unquote(self.path).removeprefix("/olares/")
        web.asked.append(path)
        file = web.folder / path
        if web.page:
            self._answer(200, web.page, {"Content-Type": "text/html"})
        elif path in web.statuses or not file.is_file():
            self._answer(web.statuses.get(path, 404), b"no", {})
        else:
            self._file(file.read_bytes())

    def _file(self, content: bytes) -> None:
        asked = self.headers.get("Range", "")
        if not asked:
            self._answer(200, content, {})
            return
        low, high = asked.removeprefix("bytes=").split("-")
        part = content[int(low) : int(high) + 1]
        self._answer(206, part, {"Content-Range": f"bytes {low}-{int(low) + len(part) - 1}/{len(content)}"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
