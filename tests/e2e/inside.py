"""A machine from the test's side: run programs in it, read its files, speak to its olares-cli."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installers.core.remote.client import connect
from installers.core.remote.ship import ship
from installers.machines.driver import Driver
from installers.machines.layout import Machine
from installers.site import Paths

ROOT = Path(__file__).parents[2]
WHEELS = Path(os.environ.get("OLARES_E2E_WHEELS", ROOT / "build/wheelhouse"))
"""What is shipped; another wheelhouse can be tried by the variable."""

PROGRAM = "/opt/olares/current/bin/olares-cli"
BOOT = 120.0
INSTALL = 2700.0
"""Seconds an install may take with nothing cached: Kubernetes is compiled in it."""


@dataclass(frozen=True, slots=True, repr=False)
class Ran:
    """How a program ended: exit status, what it wrote, wall time in seconds as seen from outside."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its standard output as JSON lines; anything else there is an error."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, type: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["type"] == type]

    @property
    def result(self) -> dict[str, Any]:
        """The last word of a run: status, changes, failure, left and kept."""
        (result,) = self.of("result")
        return result

    def __str__(self) -> str:
        tail = "\n".join(line[:600] for line in (self.out + self.err).splitlines()[-25:])
        return f"{self.argv[-1][:300]}: status {self.code} after {self.seconds:.1f} s\n{tail}"

    __repr__ = __str__


class Unexpected(AssertionError):
    """A program ended otherwise than the test says it must."""


def outer(*words: str, timeout: float = 600.0) -> Ran:
    """Our own ``olares-cli`` on this computer."""
    return _ended((str(Path(sys.executable).with_name("olares-cli")), *words), input=None, timeout=timeout)


def _ended(argv: Sequence[str], *, input: bytes | None, timeout: float) -> Ran:
    began = time.monotonic()
    standard: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    done = subprocess.run(argv, capture_output=True, timeout=timeout, **standard)
    seconds = time.monotonic() - began
    return Ran(tuple(argv), done.returncode, done.stdout.decode(), done.stderr.decode(), seconds)


class Inside:
    """One machine, reached by ssh over one connection that is kept open while the machine runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.driver = Driver(Paths.from_environment(), lambda event: None)
        self._sockets = Path(tempfile.mkdtemp(prefix="olares-e2e-"))
        self._master: subprocess.Popen[bytes] | None = None

    @property
    def machine(self) -> Machine:
        return self.driver.find(self.name)

    # the machine as a whole

    def exists(self) -> bool:
        return self.name in {machine.name for machine in self.driver.listed()}

    def create(self, *words: str) -> Ran:
        made = self.ended(outer("machine", "create", self.name, *words, timeout=900))
        self._open()
        return made

    def stop(self) -> None:
        self._close()
        self.ended(outer("machine", "stop", self.name))

    def start(self) -> None:
        self.ended(outer("machine", "start", self.name))
        self._open()

    def delete(self) -> Ran:
        self._close()
        return self.ended(outer("machine", "delete", self.name, "--yes", "--keep-tools"))

    def close(self) -> None:
        self._close()
        shutil.rmtree(self._sockets)

    def open(self) -> None:
        """Reach a machine that runs already."""
        self._open()

    @staticmethod
    def ended(ran: Ran, *codes: int) -> Ran:
        if ran.code not in (codes or (0,)):
            raise Unexpected(str(ran))
        return ran

    def _ssh(self, *options: str) -> list[str]:
        machine = self.machine
        return [
            *("ssh", "-i", machine.key, "-o", f"UserKnownHostsFile={machine.known_hosts}", "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR", "-o", f"ControlPath={self._sockets}/c"),
            *(*options, f"root@{machine.address}"),
        ]

    def _open(self) -> None:
        self._close()
        with connect(self.driver.address(self.machine), deadline=BOOT):
            pass  # it answers
        self._master = subprocess.Popen(self._ssh("-M", "-N"), stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (self._sockets / "c").exists():
            if time.monotonic() > deadline:
                raise Unexpected("ssh opens no shared connection")
            time.sleep(0.05)

    def _close(self) -> None:
        if self._master is not None:
            self._master.terminate()
            try:
                self._master.wait(10)
            except subprocess.TimeoutExpired:
                # Seen on a computer with much else to do; left to itself it fails another test.
                self._master.kill()
                self._master.wait(10)
            self._master = None

    # programs in it

    def argv(self, *words: str, options: Sequence[str] = ()) -> list[str]:
        """The ssh command line that runs a program there."""
        return [*self._ssh(*options), "--", shlex.join(words)]

    def run(
        self, *words: str, ok: Sequence[int] = (0,), input: str | bytes | None = None, timeout: float = 120.0
    ) -> Ran:
        """Run a program to its end; ``Unexpected`` unless its status is one of ``ok`` (empty: any)."""
        content = input.encode() if isinstance(input, str) else input
        ran = _ended(self.argv(*words), input=content, timeout=timeout)
        if ok and ran.code not in ok:
            raise Unexpected(str(ran))
        return ran

    def shell(self, script: str, *, ok: Sequence[int] = (0,), timeout: float = 120.0) -> str:
        """Several commands that belong together; a failing one ends them."""
        return self.run("sh", "-eu", "-c", script, ok=ok, timeout=timeout).out

    def begin(self, *words: str, options: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a program and read its lines as they come."""
        return subprocess.Popen(
            self.argv(*words, options=options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read(self, path: str) -> str:
        return self.run("cat", "--", path).out

    def write(self, path: str, content: str) -> None:
        self.run("sh", "-c", 'cat > "$1"', "sh", path, input=content)

    def exists_inside(self, path: str) -> bool:
        return self.run("test", "-e", path, ok=(0, 1)).code == 0

    # our program in it

    def ship(self) -> None:
        with connect(self.driver.address(self.machine), deadline=BOOT) as remote:
            ship(remote, str(WHEELS))

    def cli(
        self,
        *words: str,
        ok: Sequence[int] = (0,),
        timeout: float = 300.0,
        environ: Mapping[str, str] | None = None,
    ) -> Ran:
        """``olares-cli --output jsonl`` there."""
        return self.run(*self.command(*words, environ=environ), ok=ok, timeout=timeout)

    @staticmethod
    def command(*words: str, environ: Mapping[str, str] | None = None) -> list[str]:
        given = ["env", *(f"{name}={value}" for name, value in environ.items())] if environ else []
        return [*given, PROGRAM, "--output", "jsonl", *words]

    def install(self, *words: str, ok: Sequence[int] = (0,), timeout: float = INSTALL) -> Ran:
        return self.cli("install", "--yes", *words, ok=ok, timeout=timeout)

    def plan(self, *, ok: Sequence[int] = (0, 3)) -> dict[str, Any]:
        (plan,) = self.cli("plan", ok=ok).of("plan")
        return plan

    def planned(self) -> dict[str, str]:
        """The keys a plan would touch, each with its decision's name."""
        return {step["key"]: step["decision"] for step in self.plan()["steps"] if step["decision"] != "satisfied"}

    def states(self) -> dict[str, str]:
        """Every component's state."""
        (status,) = self.cli("status", ok=(0, 3)).of("status")
        return {row["name"]: row["state"] for row in status["components"]}

    def wait_running(self, *, deadline: float = 180.0) -> float:
        """Until every component runs, nobody touching anything; seconds that took. Says what is missing else."""
        began = time.monotonic()
        while True:
            waiting = {name: state for name, state in self.states().items() if state != "running"}
            passed = time.monotonic() - began
            if not waiting:
                return passed
            if passed > deadline:
                raise Unexpected(f"after {passed:.0f} s: {waiting}; a plan names {self.planned()}")
            time.sleep(2)


def lines_of(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """The records of a program begun with ``begin``, as they come."""
    assert process.stdout is not None
    for line in process.stdout:
        with suppress(json.JSONDecodeError):
            record = json.loads(line)
            if isinstance(record, dict) and "type" in record:
                yield record
