"""kubelet's two questions over HTTP: GET /ready and GET /live, 200 for yes and 503 for no."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

REQUEST_DEADLINE = 5.0
"""Seconds a probe may take to send its request."""


@dataclass
class Health:
    """What the probes are told."""

    ready: bool = False
    """True while there is a full state to serve and it is being served."""
    stall_after: float = 90.0
    """Seconds without a beat after which the program counts as stuck and wants a restart."""
    _beat: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Say that the main loop went round once more."""
        self._beat = time.monotonic()

    def live(self) -> bool:
        """True while the main loop goes round."""
        return time.monotonic() - self._beat < self.stall_after


async def serve(health: Health, port: int, address: str = "") -> asyncio.Server:
    """Answer probes on a port (all addresses unless one is given) until the returned server is closed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_DEADLINE):
                request = await reader.readline()
                writer.write(response(request, health))
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # the one who asked went away, or sent an endless line
        finally:
            writer.close()

    return await asyncio.start_server(answer, address or None, port)


def response(request: bytes, health: Health) -> bytes:
    """The whole HTTP answer to a request line."""
    words = request.split()
    answers = {b"/ready": health.ready, b"/live": health.live()}
    good = answers.get(words[1]) if len(words) > 1 and words[0] == b"GET" else None
    status = {True: "200 OK", False: "503 Service Unavailable", None: "404 Not Found"}[good]
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
