"""Unit tests touch nothing of this machine: no processes, no sockets, no /sys, no environment of the user's."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Forbidden(BaseException):
    """A unit test reached for the real machine. A BaseException, so that no handler swallows it."""


_BANNED_EVENTS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.system", "os.fork", "os.forkpty", "os.exec"})
_SOCKET_EVENTS = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"})
_watching = False
"""The audit hook cannot be taken out again, so it looks whether a unit test is running."""


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in _BANNED_EVENTS:
        raise Forbidden(f"a unit test may not start a process: {args[0]!r} (mark it `processes`)")
    if event in _SOCKET_EVENTS:
        raise Forbidden(f"a unit test may not use the network: {event} {args[1:]!r} (mark it `processes`)")
    if event in ("open", "os.listdir", "os.scandir") and str(args[0]).startswith("/sys/"):
        raise Forbidden(f"a unit test may not read {args[0]} (mark it `processes`)")


sys.addaudithook(_audit)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Types first, whatever the random order: mypy without its cache takes longest, and others run beside it."""
    items.sort(key=lambda item: item.nodeid.partition("::")[2] != "test_types")


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Directories for homes, all below one: ``mktemp`` reads all its neighbours' names every time."""
    above = tmp_path_factory.mktemp("homes")
    return (above / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _isolated(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _homes: Iterator[Path]
) -> Iterator[None]:
    """A home of the test's own, none of the user's settings, and the ban for tests not marked ``processes``."""
    global _watching
    for name in list(os.environ):
        if name.startswith(("OLARES_", "XDG_", "KUBE", "http", "HTTP", "no_proxy", "NO_PROXY")):
            monkeypatch.delenv(name)
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    if request.node.get_closest_marker("processes") is None:
        _watching = True
    yield
    _watching = False
