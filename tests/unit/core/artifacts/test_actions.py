"""Installing a program, taking it back, and talking to the worker."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator

import pytest

from installers.core.actions.files import RestorePath
from installers.core.artifacts.actions import FetchArtifact, InstallBinary, KeepCache
from installers.core.artifacts.report import FAILED
from installers.core.errors import Failure
from installers.core.model import Left
from tests.fake import Call, Effect, FakeHost, FakeMachine

TARGET = "/usr/local/bin/tool"
PROGRAM = b"\x7fELF program"
DIGEST = hashlib.sha256(PROGRAM).hexdigest()


def _wheel(content: bytes = PROGRAM) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as wheel:
        wheel.writestr("bin/tool", content)
    return data.getvalue()


@pytest.fixture
def machine() -> FakeMachine:
    machine = FakeMachine()
    machine.tree.file("/var/cache/olares/tool.whl", _wheel())
    return machine


def test_a_program_is_installed_and_taken_back(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    action = InstallBinary(TARGET, "/var/cache/olares/tool.whl", "bin/tool", DIGEST)
    inverse = action.inverse(host)
    assert isinstance(inverse, RestorePath)
    action.execute(host)
    stat = host.stat(TARGET)
    assert stat is not None
    assert (host.read(TARGET), stat.permissions) == (PROGRAM, 0o755)
    inverse.execute(host)
    assert host.stat(TARGET) is None
    inverse.execute(host)


def test_a_foreign_program_comes_back(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    for path in ("/usr", "/usr/local", "/usr/local/bin"):
        if host.stat(path) is None:
            host.mkdir(path)
    host.write(TARGET, b"\xff foreign", mode=0o750)
    action = InstallBinary(TARGET, "/var/cache/olares/tool.whl", "bin/tool", DIGEST)
    inverse = action.inverse(host)
    assert isinstance(inverse, RestorePath)
    action.execute(host)
    inverse.execute(host)
    stat = host.stat(TARGET)
    assert stat is not None
    assert (host.read(TARGET), stat.permissions) == (b"\xff foreign", 0o750)


def test_a_program_replaced_by_somebody_stays(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    action = InstallBinary(TARGET, "/var/cache/olares/tool.whl", "bin/tool", DIGEST)
    inverse = action.inverse(host)
    assert isinstance(inverse, RestorePath)
    action.execute(host)
    host.write(TARGET, b"theirs")
    assert isinstance(inverse.execute(host), Left)
    assert host.read(TARGET) == b"theirs"


@pytest.mark.parametrize(
    "content", [_wheel(b"other"), b"not an archive", _wheel()[:-30]], ids=["another", "no archive", "cut short"]
)
def test_a_changed_cache_is_not_installed(machine: FakeMachine, content: bytes) -> None:
    host = FakeHost(machine)
    machine.tree.file("/var/cache/olares/tool.whl", content)
    with pytest.raises(Failure) as caught:
        InstallBinary(TARGET, "/var/cache/olares/tool.whl", "bin/tool", DIGEST).execute(host)
    assert caught.value.id == "OLR-ART-009"
    assert host.stat(TARGET) is None


FETCH = FetchArtifact("tool", "1", DIGEST, "/c/fetched/tool", "/c", "/s")


def _worker(code: int, *lines: object) -> Effect:
    def effect(machine: FakeMachine, call: Call) -> Iterator[None]:
        call.code = code
        call.stdout = "".join(f"{json.dumps(line)}\n" for line in lines)
        yield

    return effect


def test_the_workers_progress_is_passed_on(machine: FakeMachine) -> None:
    said: list[tuple[int, int | None, str, str]] = []
    machine.commands[("unshare",)] = _worker(0, {"done": 1, "total": 2, "unit": "bytes", "text": "tool"})
    FETCH.execute(FakeHost(machine, emit_progress=lambda *row: said.append(row)))
    assert said == [(1, 2, "bytes", "tool")]


def test_the_workers_failure_is_raised(machine: FakeMachine) -> None:
    row = {"failure": "OLR-ART-004", "fields": {"artifact": "tool", "reason": "no route"}}
    machine.commands[("unshare",)] = _worker(FAILED, row)
    with pytest.raises(Failure) as caught:
        FETCH.execute(FakeHost(machine))
    assert (caught.value.id, caught.value.what) == ("OLR-ART-004", "tool could not be fetched: no route")


def test_a_worker_that_does_not_say_why_is_a_failure_too(machine: FakeMachine) -> None:
    machine.commands[("unshare",)] = _worker(FAILED)
    with pytest.raises(Failure) as caught:
        FETCH.execute(FakeHost(machine))
    assert caught.value.id == "OLR-ART-014"


def test_what_was_fetched_stays_in_the_cache(machine: FakeMachine) -> None:
    inverse = FETCH.inverse(FakeHost(machine))
    assert inverse == KeepCache("/c/fetched/tool")
