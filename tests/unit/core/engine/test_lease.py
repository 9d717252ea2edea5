"""The lease: one run at a time, freed by the kernel, and a message that names the holder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from installers.core.engine import lease as module
from installers.core.engine.lease import holder, lease
from installers.core.errors import Failure

HOLD = """
import sys
from installers.core.engine.lease import lease
with lease(sys.argv[1], verb="resume"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(module, "WAIT", 0.05)
    return str(tmp_path / "run" / "lock")


def test_a_second_run_is_refused_and_told_who_holds_it(lock: str) -> None:
    with lease(lock, verb="install"), pytest.raises(Failure) as refused, lease(lock, verb="undo"):
        raise AssertionError("two hold it")
    assert refused.value.id == "OLR-RUN-001"
    assert refused.value.fields["pid"] == str(os.getpid())
    assert refused.value.fields["verb"] == "install"
    assert str(os.getpid()) in refused.value.what


def test_it_is_free_again_afterwards_also_after_a_failure(lock: str) -> None:
    with pytest.raises(ZeroDivisionError), lease(lock, verb="install"):
        raise ZeroDivisionError
    with lease(lock, verb="undo"):
        assert holder(lock)[:2] == (str(os.getpid()), "undo")
    assert holder(lock) == ("?", "?", "?")


def test_a_file_without_a_holder_is_no_lease(lock: str) -> None:
    """The lock is the flock; what a killed run wrote into the file holds nobody up."""
    Path(lock).parent.mkdir()
    Path(lock).write_text("1 1 boot install 1795341600\n")
    with lease(lock, verb="install"):
        pass


@pytest.mark.processes
def test_the_kernel_frees_it_when_its_holder_is_killed(lock: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Failure) as refused, lease(lock, verb="install"):
            raise AssertionError("two hold it")
        assert refused.value.fields["pid"] == str(child.pid)
        assert refused.value.fields["verb"] == "resume"
    finally:
        child.kill()
        child.communicate(timeout=10)
    with lease(lock, verb="install"):
        pass
