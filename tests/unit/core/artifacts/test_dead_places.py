"""A place that takes no connection: what is decided about it, and that others are not held up by it."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from installers.core.artifacts.cache import Cache
from installers.core.artifacts.depot.bring import bring
from installers.core.artifacts.depot.contents import Target
from installers.core.artifacts.depot.open import nothing
from installers.core.artifacts.depot.remote import carriers
from installers.core.artifacts.fetch import Limits, Wanted, fetch
from installers.core.artifacts.fetch.mirrors import Mirror
from installers.core.artifacts.fetch.together import asked_together
from installers.core.artifacts.fetch.work import Work
from installers.core.artifacts.index import File, Pinned, Registry
from installers.core.artifacts.releases import fetched_release, require_reach
from tests.fake.webserver import WebServer

CONTENT = b"some bytes" * 50_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LONG = Limits(connect=60.0, connect_beside=60.0, stall=60.0)
"""With these nothing is done in time that waits for the dead one."""
SOON = 20.0


@pytest.fixture
def hole() -> Iterator[str]:
    """The address of somebody who listens and takes nobody: his queue is full, so that a connect hangs."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/olares"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "www/metadata").mkdir(parents=True)
    (tmp_path / "www/metadata/timestamp.json").write_text("{}")
    (tmp_path / "www/file").write_bytes(CONTENT)
    with WebServer(tmp_path / "www") as server:
        yield server


def test_what_another_has_taken_over_is_not_waited_for() -> None:
    mirrors = [Mirror(0, "dead"), Mirror(1, "alive")]
    work = Work([(0, 200 << 10)], mirrors, LONG)
    hangs = work.take(0.0)
    assert hangs is not None
    assert work.take(0.5) is None
    assert not work.over
    taken = work.take(1.5)
    assert taken is not None
    assert (taken.mirror, taken.start, taken.end) == (mirrors[1], 0, 200 << 10)
    assert (hangs.taken, work.cut, work.over) == (True, [hangs], False)
    taken.at = taken.claimed = taken.end
    work.back(taken)
    assert work.over
    # Bytes it claimed before are on their way to disk: these are waited for.
    hangs.claimed = 1
    assert not work.over


def test_one_that_never_answered_is_tried_again_by_one_connection() -> None:
    mirror = Mirror(0, "m")
    mirror.active = 1
    assert mirror.usable(0.0)
    mirror.failed("timed out", now=0.0)
    assert (mirror.usable(60.0), mirror.unheard) == (False, True)
    mirror.active = 0
    assert mirror.usable(60.0)
    mirror.answered, mirror.active = True, 1
    assert (mirror.usable(60.0), mirror.unheard) == (True, False)
    # One that answered before and fails now may be crowded; it is not dead.
    mirror.failed("timed out", now=60.0)
    assert mirror.usable(120.0)


def test_nobody_is_unheard_who_was_not_asked() -> None:
    assert not Mirror(0, "m").unheard


def test_the_silent_are_left_after_the_grace_and_the_answers_keep_their_order() -> None:
    over = threading.Event()

    def ask(place: str) -> str:
        if place == "silent":
            over.wait(SOON)
        if place == "late":
            time.sleep(0.05)
        return f"from {place}"

    places = ("silent", "late", "bad", "late")
    found = asked_together(places, ask, good=lambda answer: "late" in answer, grace=0.0)
    assert list(found.items()) == [("late", "from late"), ("bad", "from bad")]
    over.set()


def test_without_a_good_answer_all_are_waited_for() -> None:
    found = asked_together((0.1, 0.0), lambda pause: time.sleep(pause), good=lambda answer: False, grace=0.0)
    assert list(found) == [0.1, 0.0]


def test_what_one_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        asked_together((1, 0), lambda number: 1 // number, good=lambda answer: False, grace=0.0)


@pytest.mark.processes
@pytest.mark.parametrize(("first", "shortest"), [("dead", 1 << 20), ("alive", 64 << 10)])
def test_a_file_does_not_wait_for_the_dead(
    tmp_path: Path, hole: str, web: WebServer, first: str, shortest: int
) -> None:
    urls = (f"{hole}/file", f"{web.url}/file")[:: 1 if first == "dead" else -1]
    began = time.monotonic()
    wanted = Wanted("file", len(CONTENT), SHA256)
    done = fetch(urls, wanted, to=tmp_path / "got", report=nothing, limits=replace(LONG, shortest=shortest))
    assert time.monotonic() - began < SOON
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert done.warnings == ()
    assert f"{web.url}/file" not in done.unheard


@pytest.mark.processes
def test_a_release_does_not_wait_for_the_dead(tmp_path: Path, hole: str, web: WebServer) -> None:
    pin = Pinned("tool", Registry.RELEASE, "tool", "1", File("tool.tgz", 0, SHA256), "")
    (web.folder / pin.entry).parent.mkdir()
    (web.folder / pin.entry).write_bytes(CONTENT)
    began = time.monotonic()
    require_reach((pin,), places=(hole, web.url), seconds=60.0)
    cache = Cache(tmp_path / "cache", tmp_path / "ledger")
    path = fetched_release(pin, places=(hole, web.url), cache=cache, report=nothing)
    assert path.read_bytes() == CONTENT
    assert time.monotonic() - began < SOON


@pytest.mark.processes
def test_a_bundles_places_do_not_wait_for_the_dead(hole: str, web: WebServer) -> None:
    told: list[str] = []
    began = time.monotonic()
    found = carriers((hole, web.url), lambda done, total, unit, text="": told.append(text), seconds=60.0)
    assert time.monotonic() - began < SOON
    assert found == (web.url,)
    assert [hole in text for text in told] == [True]


@pytest.mark.processes
def test_of_many_files_only_the_first_asks_the_dead_one_first(tmp_path: Path, hole: str, web: WebServer) -> None:
    targets = []
    for number in range(30):
        content = f"file {number}".encode()
        (web.folder / f"f{number}").write_bytes(content)
        targets.append(Target(f"f{number}", hashlib.sha256(content).hexdigest(), len(content)))
    began = time.monotonic()
    cache = Cache(tmp_path / "cache", tmp_path / "ledger")
    (tmp_path / "to").mkdir()
    bring(tmp_path / "to", targets, (hole, web.url), cache=cache, report=nothing)
    assert time.monotonic() - began < SOON
    assert sorted(web.asked) == sorted(target.path for target in targets)
