"""The command line in process, with scripted verbs in place of ``installers.install``."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import installers
from installers.phases import Phase
from olares_cli import app, here
from olares_cli.commands import choices
from olares_cli.runs import launch
from olares_cli.verbs import Verbs as Shape
from tests.unit.olares_cli.verbs_stub import Verbs


@dataclass(frozen=True)
class Ended:
    """What one command line left."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Empty:
    """A machine with nothing on it, as far as the command line itself looks."""

    def stat(self, path: str) -> None:
        return None


PHASES = (
    Phase("infrastructure", "Kubernetes and what it stands on", ("infrastructure/containerd", "infrastructure/etcd")),
    Phase("platform", "databases and brokers", ("platform/postgres", "platform/kvrocks")),
)


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> Verbs:
    stub = Verbs()
    _shape: Shape = stub  # mypy holds the stub, like the real module, against what the command line expects
    monkeypatch.setitem(sys.modules, "installers.install", stub)
    monkeypatch.setattr(installers, "install", stub, raising=False)
    monkeypatch.setattr(here, "probe", lambda site=None: Empty())
    for module in (here, choices):
        monkeypatch.setattr(module, "PHASES", PHASES)
    return stub


@pytest.fixture
def run(
    request: pytest.FixtureRequest,
    verbs: Verbs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run one command line as root on a machine without systemd; files go to a directory of the test."""
    for name in ("CI", "NO_COLOR", "_OLARES_CLI_COMPLETE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("state", "cache", "log", "run"):
        monkeypatch.setenv(f"OLARES_{name.upper()}_DIR", str(tmp_path / name))
    (tmp_path / "olares.yaml").write_text("")
    monkeypatch.setenv("OLARES_CONFIG", str(tmp_path / "olares.yaml"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(launch, "own_unit", lambda: False)

    def once(*arguments: str) -> Ended:
        if "terminal" not in request.fixturenames:
            code = app.run(arguments)
            return Ended(code, *capsys.readouterr())
        # pytest puts its own streams back between set-up and test, so they are exchanged only now.
        out, err = Terminal(), Terminal()
        with monkeypatch.context() as patch:
            for name, stream in (("stdin", Terminal()), ("stdout", out), ("stderr", err)):
                patch.setattr(sys, name, stream)
            code = app.run(arguments)
        return Ended(code, out.getvalue(), err.getvalue())

    return once


@pytest.fixture
def terminal() -> None:
    """All three streams of ``run`` are terminals."""
