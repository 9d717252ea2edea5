"""A folder on a web server, with ranges; it notes what it is asked for."""

from __future__ import annotations

import os
import time
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from tests.fake.loopback import LoopbackServer, QuietHandler

_CHUNK = 1 << 18

HTML = b"<!DOCTYPE html><html>Sign in to the network</html>"


@dataclass
class WebServer(LoopbackServer):
    """Serves ``folder``; a context manager. ``asked``: each path. ``statuses``: by path, in place of a file."""

    folder: Path
    address: str = "127.0.0.1"
    asked: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    """Bytes of files that were sent, about: connections count beside each other."""
    pace: float = 0.0
    """Bytes a second of one connection, 0 for as fast as can be."""
    page: bytes = b""
    """What it says with status 200 whatever it is asked for, as the server of a guest network does."""
    login: str = ""
    """NAME:PASSWORD without which it answers 401."""

    def handler(self) -> type[_Handler]:
        class Handler(_Handler):
            server_of = self

        return Handler

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/olares"


def basic(login: str) -> str:
    """The header of a name and password; "" for none."""
    return f"Basic {b64encode(login.encode()).decode()}" if login else ""


class _Handler(QuietHandler):
    server_of: WebServer

    def do_GET(self) -> None:
        web = self.server_of
        path = unquote(self.path).removeprefix("/olares/")
        web.asked.append(path)
        file = web.folder / path
        if self.headers.get("Authorization", "") != basic(web.login):
            self.short(401, b"who are you?", {"WWW-Authenticate": 'Basic realm="files"'})
        elif web.page:
            self.short(200, web.page, {"Content-Type": "text/html"})
        elif path in web.statuses or not file.is_file():
            self.short(web.statuses.get(path, 404), b"no", {})
        else:
            with file.open("rb") as content:
                self._file(content)

    def _file(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        asked = self.headers.get("Range", "")
        low, high = 0, size - 1
        if asked:
            first, last = asked.removeprefix("bytes=").split("-")
            low, high = int(first), min(int(last), high)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {low}-{high}/{size}")
        self.send_header("Content-Length", str(high + 1 - low))
        self.end_headers()
        file.seek(low)
        left = high + 1 - low
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            self.wfile.write(chunk)
            self.server_of.sent += len(chunk)
            left -= len(chunk)
            if pace := self.server_of.pace:
                time.sleep(len(chunk) / pace)
