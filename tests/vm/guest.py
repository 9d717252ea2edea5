"""The guest while it runs: an emulated computer whose clock counts instructions, reached by ssh."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installers.core.errors import Failure
from installers.core.remote.client import Address, Remote, connect
from tests.vm.assemble import Image

BOOT = 900.0
"""Seconds from power on to the first ssh; twenty on an idle computer."""

HOUR = 3600.0
PROGRAM = "/opt/olares/current/bin/olares-cli"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program in the guest ended: status, lines of its two streams, seconds on this computer's clock."""

    code: int
    lines: tuple[str, ...]
    talk: tuple[str, ...]
    seconds: float

    @property
    def out(self) -> str:
        return "\n".join(self.lines)

    def of(self, type: str) -> list[dict[str, Any]]:
        """Its JSON lines of one type."""
        records: list[dict[str, Any]] = [json.loads(line) for line in self.lines]
        return [record for record in records if record["type"] == type]

    def __str__(self) -> str:
        tail = "\n".join(line[:600] for line in (*self.lines, *self.talk)[-25:])
        return f"status {self.code} after {self.seconds:.0f} s\n{tail}"


class Unexpected(AssertionError):
    """A program in the guest ended otherwise than the test says it must."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A running guest, over one connection that is held from its first answer to its end."""

    remote: Remote

    def run(
        self,
        *words: str,
        ok: Sequence[int] = (0,),
        timeout: float = HOUR,
        on_line: Callable[[str], None] | None = None,
    ) -> Ran:
        """Run a program to its end; ``Unexpected`` unless its status is one of ``ok`` (empty: any)."""
        lines: list[str] = []
        talk: list[str] = []

        def line(text: str) -> None:
            lines.append(text)
            if on_line:
                on_line(text)

        began = time.monotonic()
        code = self.remote.run(words, timeout=timeout, on_line=line, on_talk=talk.append)
        ran = Ran(code, tuple(lines), tuple(talk), time.monotonic() - began)
        if ok and code not in ok:
            raise Unexpected(f"{' '.join(words)[:300]}: {ran}")
        return ran

    def cli(self, *words: str, ok: Sequence[int] = (0,), on_line: Callable[[str], None] | None = None) -> Ran:
        """``olares-cli --output jsonl`` there."""
        return self.run(PROGRAM, "--output", "jsonl", *words, ok=ok, on_line=on_line)


def emulator(image: Image, port: int) -> list[str]:
    """The command line; it dies with us, and lets everything else on this computer go first.

    The guest's clock counts instructions, one nanosecond each, and stands still while the emulator
    does: to the guest it is a computer of one GHz, however slow and busy this one is. So every
    deadline of Kubernetes and of ours holds in it as it stands. Only one thread may emulate then.
    """
    disk = "file=/vm/disk.img,format=raw,if=virtio,cache=unsafe"
    return [
        *("setpriv", "--pdeathsig", "KILL", "nice", "-n", "15", "chroot", str(image.tools)),
        *("qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-machine", "q35"),
        *("-accel", "tcg,thread=single", "-icount", "shift=0,align=off,sleep=on", "-rtc", "clock=vm"),
        # Without "erms" the kernel copies eight bytes at a time, not one: four times faster when emulated.
        *("-cpu", "max,erms=off", "-smp", "1", "-m", "6144", "-serial", "stdio"),
        *("-kernel", "/vm/vmlinuz", "-initrd", "/vm/initrd.gz", "-append", "console=ttyS0 quiet panic=-1"),
        *("-drive", disk, "-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22"),
    ]


def console(image: Image) -> Path:
    """What the guest says on its serial line."""
    return image.vm / "console.log"


@contextmanager
def running(image: Image) -> Iterator[Guest]:
    """Boot a guest, and have it gone at the end whatever happens."""
    port = _free_port()
    key = image.known_hosts.read_text().strip()
    known = image.known_hosts.with_name("known_hosts.port")
    known.write_text(f"[127.0.0.1]:{port} {key}\n")
    address = Address("127.0.0.1", str(image.key), str(known), port=port)
    with console(image).open("wb") as log:
        process = subprocess.Popen(emulator(image, port), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _answers(process, address, console(image))
            with connect(address, deadline=BOOT) as remote:
                yield Guest(remote)
                _power_off(remote, process)
        finally:
            process.kill()
            process.wait()


def _answers(process: subprocess.Popen[bytes], address: Address, log: Path) -> None:
    """Wait for sshd's own first line: the emulator itself accepts connections long before."""
    until = time.monotonic() + BOOT
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection((address.host, address.port), timeout=20) as line:
            if line.recv(4) == b"SSH-":
                return
        time.sleep(1)
    raise Unexpected(f"the guest does not answer; its console says\n{log.read_text(errors='replace')[-2000:]}")


def _power_off(remote: Remote, process: subprocess.Popen[bytes]) -> None:
    with suppress(Failure, subprocess.TimeoutExpired):
        remote.run(["systemctl", "poweroff"], timeout=60)
        process.wait(180)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
