"""Installing a program, taking it back, and talking to the worker."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO

import pytest

from installers.core.actions.files import PIECE, RestorePath
from installers.core.artifacts.actions import FetchArtifact, InstallBinary, KeepCache
from installers.core.artifacts.report import FAILED
from installers.core.errors import Failure
from installers.core.host.files import temporary_name
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


LARGE = bytes(range(256)) * 4 * 4096


class Pieces(io.BytesIO):
    """A file that is given out only in pieces."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        assert len(piece) <= PIECE
        return piece


class SmallHost(FakeHost):
    """Has no memory for a whole artifact."""

    def read(self, path: str) -> bytes:
        raise AssertionError(f"{path} is read as a whole")

    def open(self, path: str) -> IO[bytes]:
        return Pieces(super().read(path))

    def digest(self, path: str) -> str:
        return hashlib.sha256(super().read(path)).hexdigest()

    def write(
        self, path: str, content: bytes | Iterable[bytes], *, mode: int = 0o644, uid: int = 0, gid: int = 0
    ) -> None:
        assert not isinstance(content, bytes)
        pieces = tuple(content)
        assert max(map(len, pieces)) <= PIECE
        super().write(path, pieces, mode=mode, uid=uid, gid=gid)


def _tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        row = tarfile.TarInfo("./bin/tool")
        row.size = len(LARGE)
        tar.addfile(row, io.BytesIO(LARGE))
    return data.getvalue()


@pytest.mark.parametrize(
    ("package", "member"),
    [
        pytest.param(LARGE, "", id="the file itself"),
        pytest.param(_wheel(LARGE), "bin/tool", id="wheel"),
        pytest.param(_tar(), "bin/tool", id="tar"),
    ],
)
def test_a_large_file_goes_in_and_its_forerunner_out_in_pieces(package: bytes, member: str) -> None:
    machine = FakeMachine()
    machine.tree.file("/var/cache/olares/package", package)
    machine.tree.file(TARGET, LARGE[::-1], mode=0o750)
    host = SmallHost(machine)
    action = InstallBinary(TARGET, "/var/cache/olares/package", member, hashlib.sha256(LARGE).hexdigest())
    inverse = action.inverse(host)
    assert isinstance(inverse, RestorePath)
    action.execute(host)
    assert machine.tree.read(TARGET) == LARGE
    inverse.execute(host)
    assert machine.tree.read(TARGET) == LARGE[::-1]


def test_what_a_killed_install_left_is_cleared(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    half = temporary_name("/usr/tool")
    machine.tree.file(half, b"half")
    InstallBinary("/usr/tool", "/var/cache/olares/tool.whl", "bin/tool", DIGEST).recover(host)
    assert host.stat(half) is None


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
