"""What scopes and lease know of processes where there is no /proc, asked of this computer's own ps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from installers.core.engine.lease import holder, lease
from installers.core.host import processes, runner, scopes
from installers.core.host.scopes import Scope, boot_id, end, start_time, survivors

SLEEP = "import time; time.sleep(60)"
LEAVES_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print(child.pid, flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _no_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scopes, "_PROC", tmp_path / "nothing")
    monkeypatch.setattr(runner, "has_systemd", lambda: False)
    monkeypatch.delattr(os, "pidfd_open")


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[str]]:
    """A process that leads a session of its own and has one child in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def child_of(leader: subprocess.Popen[str]) -> int:
    assert leader.stdout is not None
    return int(leader.stdout.readline())


def test_a_process_has_the_time_it_started_and_none_once_it_is_gone(leader: subprocess.Popen[str]) -> None:
    child_of(leader)
    assert abs(start_time(leader.pid) - time.time()) < 60
    leader.kill()
    leader.wait()
    assert start_time(leader.pid) == 0


def test_a_boot_has_a_name_that_stays() -> None:
    assert boot_id() == boot_id() == f"since-{processes.start_time(1)}"


def test_a_scope_is_its_leaders_group_and_is_ended_whole(leader: subprocess.Popen[str]) -> None:
    child = child_of(leader)
    scope = Scope("olares-1-1-1", "group", "", leader.pid, start_time(leader.pid), boot_id())
    assert survivors(scope) == sorted((leader.pid, child))
    end(scope)
    assert survivors(scope) == []
    assert processes.members(leader.pid) == ()


def test_what_outlives_its_leader_is_left_alone(leader: subprocess.Popen[str]) -> None:
    """A virtual machine's process is meant to go on when minikube has ended."""
    child = child_of(leader)
    scope = Scope("olares-1-1-1", "group", "", leader.pid, start_time(leader.pid), boot_id())
    leader.kill()
    leader.wait()
    assert survivors(scope) == []
    end(scope)
    assert processes.members(leader.pid) == (child,)


def test_a_number_given_again_is_nobody_of_ours(leader: subprocess.Popen[str]) -> None:
    child_of(leader)
    assert survivors(Scope("olares-1-1-1", "group", "", leader.pid, start_time(leader.pid) - 5, boot_id())) == []


def test_the_runner_and_the_lease_work_without_proc(tmp_path: Path) -> None:
    lock = str(tmp_path / "lock")
    with lease(lock, verb="create"):
        assert runner.run_process(["/bin/echo", "said"], timeout=10).stdout == "said\n"
        assert holder(lock)[:2] == (str(os.getpid()), "create")


@pytest.mark.parametrize(
    ("text", "seconds"), [("Sun Nov 22 17:20:54 2026", 1795368054), ("Thu Jan  1 00:00:09 1970", 9)]
)
def test_the_time_ps_prints(text: str, seconds: int) -> None:
    assert processes.parse_lstart(text) == seconds
