"""SSH to a host whose key we know: upload files, run a program, stream its lines back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING

from installers.core.errors import Failure

if TYPE_CHECKING:
    import paramiko

CONNECT = 10.0
"""Seconds for one attempt to reach a host; it lies on the same bridge or network."""

READ = 65536


@dataclass(frozen=True, slots=True)
class Address:
    """Where and as whom: host address, port, user, private key file and the file with the host's key."""

    host: str
    key: str
    known_hosts: str
    port: int = 22
    user: str = "root"


class Remote:
    """One connection. All commands are argument lists, quoted here and nowhere else."""

    def __init__(self, client: paramiko.SSHClient, address: Address) -> None:
        self._client = client
        self._address = address

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        on_line: Callable[[str], None] | None = None,
        on_talk: Callable[[str], None] | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> int:
        """Run a program to its end; each line of stdout and stderr goes to its callback as it comes.

        ``on_wait`` is called some fifty times a second while there is nothing to read.

        Returns the exit status. Raises ``Failure("OLR-NET-002")`` after ``timeout`` seconds without
        the end, ``OLR-NET-003`` when the connection drops.
        """
        transport = self._client.get_transport()
        if transport is None:
            raise Failure("OLR-NET-003", host=self._address.host, what=argv[0])
        channel = transport.open_session(timeout=CONNECT)
        channel.exec_command(join(argv))
        channel.shutdown_write()
        deadline = time.monotonic() + timeout
        streams = {
            "out": (_Lines(on_line), channel.recv, channel.recv_ready),
            "err": (_Lines(on_talk), channel.recv_stderr, channel.recv_stderr_ready),
        }
        while True:
            over = channel.exit_status_ready()
            moved = False
            for lines, receive, ready in streams.values():
                while ready():
                    lines.feed(receive(READ))
                    moved = True
            if over and not moved:
                break
            if not moved:
                if time.monotonic() > deadline:
                    channel.close()
                    raise Failure("OLR-NET-002", host=self._address.host, what=argv[0], seconds=int(timeout))
                if on_wait:
                    on_wait()
                channel.status_event.wait(0.02)
        for lines, _, _ in streams.values():
            lines.end()
        status = channel.recv_exit_status()
        channel.close()
        if status == -1:
            raise Failure("OLR-NET-003", host=self._address.host, what=argv[0])
        return status

    def upload(self, files: Sequence[tuple[str, str]], *, on_bytes: Callable[[int], None] | None = None) -> None:
        """Copy local files to remote paths over one SFTP session; the directories must exist."""
        done = 0
        with self._client.open_sftp() as sftp:
            for source, destination in files:
                sftp.put(source, f"{destination}.part", confirm=True)
                sftp.posix_rename(f"{destination}.part", destination)
                done += Path(source).stat().st_size
                if on_bytes:
                    on_bytes(done)


class _Lines:
    """Cuts a stream of bytes into lines for a callback."""

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def end(self) -> None:
        if self._rest:
            self._line(self._rest)

    def _line(self, line: bytes) -> None:
        if self._tell:
            self._tell(line.decode(errors="replace"))


@contextmanager
def connect(address: Address, *, deadline: float = 30.0) -> Iterator[Remote]:
    """Connect, trying again until the deadline (seconds) while the host is still coming up.

    Only the known host key is accepted: a different one is ``Failure("OLR-NET-004")``.
    """
    import paramiko

    client = paramiko.SSHClient()
    client.load_host_keys(address.known_hosts)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    until = time.monotonic() + deadline
    while True:
        try:
            client.connect(
                address.host,
                port=address.port,
                username=address.user,
                key_filename=address.key,
                timeout=CONNECT,
                banner_timeout=CONNECT,
                allow_agent=False,
                look_for_keys=False,
            )
            break
        except paramiko.BadHostKeyException as wrong:
            raise Failure("OLR-NET-004", host=address.host) from wrong
        except (TimeoutError, OSError, paramiko.SSHException) as failed:
            if time.monotonic() > until:
                raise Failure("OLR-NET-001", host=address.host, seconds=int(deadline), reason=str(failed)) from failed
            time.sleep(0.2)
    try:
        yield Remote(client, address)
    finally:
        client.close()
