"""One HTTP(S) connection at a time over ``http.client``: kept for the next request, cut from another thread."""

from __future__ import annotations

import json
import re
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Protocol

from installers.core.artifacts.fetch.logins import asking, login
from installers.core.artifacts.fetch.mirrors import public
from installers.core.artifacts.fetch.proxy import ProxyFault, Url, credentials, locked, proxy_for, unreachable

BROKEN = (OSError, HTTPException)
"""What a connection ends with when it does not end well; ``TimeoutError`` and all of TLS are among them."""

ANYHOW, SEALED = ("http://", "https://"), ("https://",)
_REDIRECTS = 10
_MOVED = frozenset({301, 302, 303, 307, 308})
_DOCUMENT = 16 << 20
"""Bytes of a JSON document that are read at most."""


class Circle(HTTPException):
    """Redirects that do not end."""


class Answer(Protocol):
    """The part of an HTTP answer a fetch looks at. ``url`` is where it came from after all redirects."""

    url: str
    status: int

    def header(self, name: str) -> str: ...
    def read(self, size: int) -> bytes:
        """The bytes that are there, at most ``size``, or b"" at the end; raises ``BROKEN``."""
        ...

    def close(self) -> None:
        """Done with it; a body that was not read to its end takes its connection along."""
        ...


class Line(Protocol):
    """Asks for one thing at a time."""

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Ask, following redirects; raises ``BROKEN``, or ``ProxyFault`` when it is the proxy."""
        ...

    def cut(self) -> None:
        """End what is under way, from any thread; its reader gets an end or an error at once."""
        ...

    def close(self) -> None: ...


class _Reply:
    def __init__(self, url: str, response: HTTPResponse, line: HttpLine) -> None:
        self.url = url
        self.status = response.status
        self._response = response
        self._line = line

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    def read(self, size: int) -> bytes:
        return self._response.read1(size)

    def close(self) -> None:
        if self._response.length == 0:
            # At the end of a body of known length read1 does not notice that it is the end.
            self._response.read()
        whole = self._response.isclosed()
        self._response.close()
        if not whole:
            self._line.close()


class HttpLine:
    """The real line: the system's certificates, proxies from the environment (as curl and pip take them).

    ``patience``: seconds without a byte before a read gives up; ``connect``: seconds for a connection.
    ``ca``: a file with a certificate authority that is believed besides, "" for none. ``follows``: what an address
    begins with that a redirect may lead to.
    """

    def __init__(
        self, *, patience: float = 20.0, connect: float = 15.0, ca: str = "", follows: tuple[str, ...] = ANYHOW
    ) -> None:
        self._patience = patience
        self._connect = connect
        self._ca = ca
        self._follows = follows
        self._to: tuple[str, str, str] = ("", "", "")
        self._connection: HTTPConnection | None = None

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        try:
            return self._follow(url, headers)
        except BROKEN:
            raise
        except ValueError as error:
            # An address that is none, its own or one it redirects to.
            raise HTTPException(str(error)) from error

    def _follow(self, url: str, headers: Mapping[str, str]) -> Answer:
        seen: set[str] = set()
        while url not in seen and len(seen) < _REDIRECTS:
            seen.add(url)
            response = self._ask(url, headers)
            place = response.headers.get("Location", "")
            if response.status not in _MOVED or not place:
                return _Reply(url, response, self)
            # What comes with a redirect is a line or two: read, so that the connection can be used again.
            response.read(1 << 16)
            _Reply(url, response, self).close()
            former, url = url, urllib.parse.urljoin(url, urllib.parse.quote(place, safe="%/:=&?~#+!$,;'@()*[]"))
            if not url.startswith(self._follows):
                raise Circle(f"redirected to {public(url)}")
            if urllib.parse.urlsplit(url)[:2] != urllib.parse.urlsplit(former)[:2]:
                # What lets us in at one place is nobody else's to know.
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        raise Circle("its redirects do not end")

    def json(self, url: str) -> object:
        """A small JSON document; raises ``BROKEN`` or ``ValueError``."""
        return json.loads(self.document(url, limit=_DOCUMENT, accept="application/json"))

    def document(self, url: str, *, limit: int, accept: str = "*/*") -> bytes:
        """A small document of at most ``limit`` bytes; raises ``BROKEN`` or ``ValueError``."""
        answer = self.get(url, {"Accept": accept})
        try:
            if answer.status != 200:
                raise ValueError(f"it answered {answer.status}{asking(answer.status)}")
            text = bytearray()
            while chunk := answer.read(limit + 1 - len(text)):
                text += chunk
            if len(text) > limit:
                raise ValueError("its answer is too long")
            return bytes(text)
        finally:
            answer.close()

    def _ask(self, url: str, headers: Mapping[str, str]) -> HTTPResponse:
        proxy = proxy_for(url)
        response = self._asked(url, headers, proxy)
        if proxy and response.status == 407:
            self.close()
            raise locked(proxy)
        return response

    def _asked(self, url: str, headers: Mapping[str, str], proxy: Url | None) -> HTTPResponse:
        parts = urllib.parse.urlsplit(url)
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        # identity: a compressed answer has other offsets than the file. A token who asks brings counts before a login.
        sent = {"Accept-Encoding": "identity", "User-Agent": "olares-cli", **login(parts), **headers}
        if proxy and parts.scheme == "http":
            target = urllib.parse.urlunsplit(("http", parts.netloc.rpartition("@")[2], target, "", ""))
            sent |= credentials(proxy, "Proxy-Authorization")
        kept = self._connection is not None and self._to == (parts.scheme, parts.netloc, proxy.netloc if proxy else "")
        if kept:
            # The server may have closed it meanwhile; that is no failure of the mirror's.
            with suppress(*BROKEN):
                return self._send(target, sent)
        self._open(parts, proxy)
        return self._send(target, sent)

    def _send(self, target: str, headers: Mapping[str, str]) -> HTTPResponse:
        connection = self._connection
        if connection is None:
            raise ConnectionAbortedError("cut")
        try:
            connection.request("GET", target, headers=dict(headers))
            return connection.getresponse()
        except BROKEN:
            self.close()
            raise

    def _open(self, parts: Url, proxy: Url | None) -> None:
        self.close()
        tls = parts.scheme == "https"
        over = proxy or parts
        host, port = over.hostname or "", over.port or (443 if over.scheme == "https" else 80)
        kind = partial(HTTPSConnection, context=_tls(self._ca)) if tls and not proxy else HTTPConnection
        connection = kind(host, port, timeout=self._connect)
        # Else a closed one would open itself again at the next request, without the TLS of a tunnel.
        connection.auto_open = 0
        if tls and proxy:
            # The tunnel first and TLS in it afterwards, so that it is known which of them did not come about.
            tunnel = credentials(proxy, "Proxy-Authorization")
            connection.default_port = HTTPSConnection.default_port
            connection.set_tunnel(parts.hostname or "", parts.port or 443, headers=tunnel)
        self._connection = connection
        self._to = (parts.scheme, parts.netloc, proxy.netloc if proxy else "")
        try:
            _connect(connection, parts, proxy)
            if tls and proxy:
                connection.sock = _tls(self._ca).wrap_socket(connection.sock, server_hostname=parts.hostname)
            connection.sock.settimeout(self._patience)
        except (*BROKEN, ProxyFault):
            self.close()
            raise

    def cut(self) -> None:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            # Not SSLSocket's own shutdown, which takes the session away under the reader.
            with suppress(OSError):
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _connect(connection: HTTPConnection, parts: Url, proxy: Url | None) -> None:
    """Connect to a place, or to the proxy and through it; raises ``BROKEN``, ``ProxyFault`` for what is the proxy's."""
    try:
        connection.connect()
    except BROKEN as error:
        if proxy is None:
            raise
        refused = re.match(r"Tunnel connection failed: (\d+) ?(.*)", str(error))
        if refused is None:
            raise unreachable(proxy, error) from error
        if refused[1] == "407":
            raise locked(proxy) from error
        said = f"the proxy {public(proxy.geturl())} answered {refused[1]} {refused[2]}".rstrip()
        raise HTTPException(f"{said} when asked for {parts.hostname}") from error


@cache
def _tls(ca: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(ca)
    return context


def length(line: Line, url: str) -> int:
    """How many bytes a place says its file has, by asking for the first; raises ``BROKEN`` or ``ValueError``."""
    answer = line.get(url, {"Range": "bytes=0-0"})
    try:
        if answer.status == 206:
            return int(answer.header("Content-Range").rpartition("/")[2])
        if answer.status == 200:
            return int(answer.header("Content-Length"))
        raise ValueError(f"it answered {answer.status}{asking(answer.status)}")
    finally:
        answer.close()
