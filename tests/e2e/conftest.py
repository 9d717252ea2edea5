"""The one machine all scenarios share, made anew for the session, and what they need of it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from installers.machines.driver import lacking
from tests.e2e import compare
from tests.e2e.cluster import Cluster
from tests.e2e.inside import INSTALL, ROOT, WHEELS, Inside, Ran

KEPT = "OLARES_E2E_KEEP"
"""Name of a machine to use as it is and to leave standing: for whoever works on one scenario."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """The shared machine and what it was before we came."""

    inside: Inside
    before: compare.Snapshot


@dataclass(frozen=True, slots=True)
class Installed:
    """The machine with Olares in it; ``ran``: the install's own records, None when it was there already."""

    inside: Inside
    before: compare.Snapshot
    ran: Ran | None


TOLD = pytest.StashKey[list[str]]()
Tell = Callable[[str], None]


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Tell:
    """A line for the end of the report: a seed, a measured number."""
    return request.config.stash[TOLD].append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[TOLD]:
        terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TOLD] = []
    config.addinivalue_line("markers", "long: takes hours; only make e2e-long runs it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(INSTALL + 300))


@pytest.fixture(scope="session")
def alone() -> Iterator[None]:
    """No second run beside this one: it would take our machine for a leftover."""
    with (ROOT / "build/e2e.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit("another run of e2e is under way in this tree", returncode=2)
        yield


@pytest.fixture(scope="session")
def fresh(alone: None) -> Iterator[Fresh]:
    """A machine that was just made, with a picture of all that is on it."""
    if missing := lacking():
        pytest.skip("; ".join(missing))
    assert list(WHEELS.glob("olares-*.whl")), "no wheels: make wheelhouse"
    name = os.environ.get(KEPT, "")
    inside = Inside(name or "e2e")
    picture = ROOT / f"build/e2e/{inside.name}-before.json"
    try:
        if name and inside.exists() and picture.exists():
            inside.open()
            yield Fresh(inside, json.loads(picture.read_text()))
        else:
            yield Fresh(inside, _made(inside, picture))
        if not name and inside.exists():
            inside.delete()
    finally:
        inside.close()


def _made(inside: Inside, picture: Path) -> compare.Snapshot:
    if inside.exists():
        inside.delete()
    inside.create()
    before = compare.take(inside)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(json.dumps(before))
    return before


@pytest.fixture(scope="session")
def shipped(fresh: Fresh) -> Fresh:
    """The machine with our program on it."""
    fresh.inside.ship()
    return fresh


@pytest.fixture(scope="session")
def installed(shipped: Fresh) -> Installed:
    """The machine with everything installed."""
    inside = shipped.inside
    if set(inside.states().values()) == {"running"}:
        return Installed(inside, shipped.before, None)
    ran = inside.install(ok=())
    Path(ROOT / "build/e2e/install.jsonl").write_text(ran.out)
    assert ran.code == 0, str(ran)
    return Installed(inside, shipped.before, ran)


@pytest.fixture(scope="session")
def cluster(installed: Installed) -> Cluster:
    return Cluster(installed.inside)
