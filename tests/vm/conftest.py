"""The one guest all scenarios share, and what is done to it once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from installers.core.remote.ship import ship
from tests.vm import picture
from tests.vm.assemble import ROOT, assemble, directory, lacking
from tests.vm.guest import HOUR, Guest, Ran, running

WHEELS = ROOT / "build/wheelhouse"


def say(text: str) -> None:
    """A line with the time of day: each of these steps takes minutes."""
    print(time.strftime("%H:%M:%S"), text, flush=True)  # noqa: T201 (a person watches)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(2 * HOUR))


@dataclass(frozen=True, slots=True)
class Fresh:
    """The guest with our program on it, and what it was before that."""

    guest: Guest
    before: dict[str, str]


@dataclass(frozen=True, slots=True)
class Installed:
    """The guest with the infrastructure; ``modules``: those loaded before it."""

    guest: Guest
    before: dict[str, str]
    ran: Ran


@pytest.fixture(scope="session")
def fresh() -> Iterator[Fresh]:
    if missing := lacking():
        pytest.skip("; ".join(missing))
    assert list(WHEELS.glob("olares-*.whl")), "no wheels: make wheelhouse"
    image = assemble(say)
    say("the guest boots")
    with running(image) as guest:
        guest.run("systemctl", "is-system-running", "--wait")
        say("a picture of it")
        before = picture.take(guest)
        say("our program goes into it")
        ship(guest.remote, str(WHEELS))
        yield Fresh(guest, before)
        say("the guest is shut down")


@pytest.fixture(scope="session")
def installed(fresh: Fresh) -> Installed:
    say("the infrastructure is installed")
    words = ("install", "--yes", "--source", "debian", "--accept-eol", "--skip-phase", "platform")
    ran = fresh.guest.cli(*words, ok=(), on_line=_told)
    (directory() / "install.jsonl").write_text(ran.out + "\n")
    assert ran.code == 0, str(ran)
    return Installed(fresh.guest, fresh.before, ran)


def _told(line: str) -> None:
    record = json.loads(line)
    if record["type"] == "step-started":
        say(f"  {record['key']}")
