"""The runner, with real processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from installers.core.errors import Failure, Interrupted
from installers.core.host import runner, scopes
from installers.core.host.runner import KEEP, run_process
from installers.core.host.scopes import Scope, boot_id, settle, start_time, survivors
from installers.core.model import Secret

pytestmark = pytest.mark.processes


@dataclass
class Journal:
    """Remembers scopes, and what was running under each when it was told of it."""

    opened_scopes: list[Scope] = field(default_factory=list)
    closed_scopes: list[Scope] = field(default_factory=list)
    program: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    def name(self) -> str:
        return f"olares-test-{os.getpid()}-{len(self.opened_scopes)}"

    def opened(self, scope: Scope) -> None:
        self.opened_scopes.append(scope)
        deadline = time.monotonic() + 5
        while not self.program and time.monotonic() < deadline:  # empty for a moment while exec takes place
            with open(f"/proc/{scope.pid}/cmdline") as file:  # noqa: PTH123
                self.program = file.read().split("\0")[0]

    def interrupted(self) -> bool:
        return self.stop.is_set()

    def closed(self, scope: Scope) -> None:
        self.closed_scopes.append(scope)


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "has_systemd", lambda: False)


@pytest.fixture(params=["read", "journaled"])
def journal(request: pytest.FixtureRequest) -> Journal | None:
    return Journal() if request.param == "journaled" else None


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_both_streams_and_the_status_come_back(journal: Journal | None) -> None:
    answer = run_process(sh("echo out; echo err >&2; exit 3"), timeout=10, ok=(3,), scopes=journal)
    assert (answer.code, answer.stdout, answer.stderr) == (3, "out\n", "err\n")


def test_a_bad_status_is_a_failure_with_the_end_of_what_was_said(journal: Journal | None) -> None:
    with pytest.raises(Failure) as failure:
        run_process(sh("for i in 1 2 3 4 5 6 7 8 9; do echo line $i >&2; done; exit 1"), timeout=10, scopes=journal)
    assert failure.value.id == "OLR-HOST-001"
    assert failure.value.fields["code"] == 1
    assert "line 9" in str(failure.value)
    assert "line 3" not in str(failure.value)


def test_input_larger_than_a_pipe_goes_through(journal: Journal | None) -> None:
    answer = run_process(["wc", "-c"], timeout=10, input=b"x" * 1_000_000, scopes=journal)
    assert answer.stdout.strip() == "1000000"


def test_input_nobody_reads_is_no_error(journal: Journal | None) -> None:
    assert run_process(["true"], timeout=10, input=b"x" * 1_000_000, scopes=journal).code == 0


def test_stdin_is_closed_otherwise() -> None:
    assert run_process(["cat"], timeout=10).stdout == ""


def test_the_environment_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLARES_PASSWORD", "x")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    seen = run_process(["env"], timeout=10, env={"DEBIAN_FRONTEND": "noninteractive"}).stdout.splitlines()
    assert {"LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", f"PATH={runner.PATH}"} <= set(seen)
    assert not any("OLARES_PASSWORD" in line for line in seen)


def test_only_the_end_of_long_output_is_kept(journal: Journal | None) -> None:
    answer = run_process(sh("head -c 1000000 /dev/zero | tr '\\0' x; echo end"), timeout=10, scopes=journal)
    assert len(answer.stdout) == KEEP
    assert answer.stdout.endswith("xend\n")


def test_answers_that_must_be_whole_are_not_cut() -> None:
    assert len(run_process(sh("head -c 1000000 /dev/zero"), timeout=10, complete=1 << 20).stdout) == 1_000_000
    with pytest.raises(Failure) as failure:
        run_process(sh("head -c 2000000 /dev/zero"), timeout=10, complete=1 << 20)
    assert failure.value.id == "OLR-HOST-005"


def test_lines_are_seen_as_they_come() -> None:
    seen: list[tuple[str, float]] = []
    run_process(
        sh("echo one; sleep 0.4; printf 'half\\rtwo'"), timeout=10, on_line=lambda s: seen.append((s, time.monotonic()))
    )
    assert [line for line, _ in seen] == ["one", "half", "two"]
    assert seen[1][1] - seen[0][1] > 0.2


def test_a_timeout_ends_everything_the_process_started(journal: Journal | None, tmp_path: str) -> None:
    began = time.monotonic()
    with pytest.raises(Failure) as failure:
        run_process(sh("sleep 77 & echo $!; sleep 77"), timeout=0.5, scopes=journal)
    assert failure.value.id == "OLR-HOST-002"
    assert time.monotonic() - began < 5
    child = int(str(failure.value.fields["tail"]))
    assert start_time(child) == 0 or _state(child) == "Z"


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0]


def test_a_process_deaf_to_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "GRACE", 0.5)
    began = time.monotonic()
    with pytest.raises(Failure):
        run_process(sh("trap '' TERM; sleep 77 & wait; sleep 77"), timeout=0.5)
    assert time.monotonic() - began < 5


def test_what_lingers_with_our_streams_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_LINGER", 0.1)
    began = time.monotonic()
    answer = run_process(sh("sleep 4 & echo done"), timeout=20)
    assert answer.stdout == "done\n"
    assert time.monotonic() - began < 3


def test_a_missing_program_is_named() -> None:
    with pytest.raises(Failure) as failure:
        run_process(["no-such-program"], timeout=1)
    assert (failure.value.id, failure.value.fields) == ("OLR-HOST-003", {"program": "no-such-program"})


@pytest.mark.parametrize("place", ["argv", "env"])
def test_secrets_are_refused(place: str) -> None:
    text = f"--password={Secret('db/admin')}"
    with pytest.raises(ValueError, match="secret"):
        run_process(
            ["true", text] if place == "argv" else ["true"], timeout=1, env={"X": text} if place == "env" else {}
        )


def test_the_journal_knows_a_process_before_it_begins() -> None:
    journal = Journal()
    run_process(["true"], timeout=10, scopes=journal)
    (scope,) = journal.opened_scopes
    assert (scope.kind, scope.boot_id, scope.start_time > 0) == ("group", boot_id(), True)
    assert journal.program == sys.executable, "still the gate, not the program"
    assert journal.closed_scopes == [scope]


def test_a_process_the_journal_refuses_never_runs(tmp_path: str) -> None:
    class Full(Journal):
        def opened(self, scope: Scope) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        run_process(["touch", f"{tmp_path}/ran"], timeout=10, scopes=Full())
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Whoever runs the tests in the background has SIGINT ignored in them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_process_and_travels_on() -> None:
    journal = Journal()
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_process(["sleep", "77"], timeout=60, scopes=journal)
    timer.join()
    assert survivors(journal.opened_scopes[0]) == []
    assert journal.closed_scopes == journal.opened_scopes


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[Scope]:
    """A process and its child left over by a runner that was killed; the child is in the background.

    Each of the two ends when somebody opens its gate, the leader's and the child's.
    """
    for name in ("leader", "child"):
        os.mkfifo(f"{tmp_path}/{name}")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:

        class Dying(Journal):
            def opened(self, scope: Scope) -> None:
                os.write(write, f"{scope.name} {scope.pid} {scope.start_time}".encode())
                threading.Timer(0.4, os._exit, (0,)).start()

        run_process(sh(f"cat {tmp_path}/child & cat {tmp_path}/leader"), timeout=60, scopes=Dying())
        os._exit(1)
    name, child, started = os.read(read, 200).decode().split()
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)
    scope = Scope(name, "group", "", int(child), int(started), boot_id())
    yield scope
    settle(scope, 0)


def test_survivors_are_found_and_waited_for(orphan: Scope, tmp_path: Path) -> None:
    wait_for(lambda: len(survivors(orphan)) == 3, "the shell and both it has started")
    settled = threading.Thread(target=settle, args=(orphan, 20))
    settled.start()
    (tmp_path / "leader").write_text("")
    wait_for(lambda: len(survivors(orphan)) == 1, "the child alone")
    assert settled.is_alive(), "the background child is waited for also after its leader was gone"
    (tmp_path / "child").write_text("")
    settled.join(10)
    assert not settled.is_alive()
    assert survivors(orphan) == []


def wait_for(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_survivors_are_ended_when_nobody_waits(orphan: Scope) -> None:
    wait_for(lambda: len(survivors(orphan)) == 3, "the shell and both it has started")
    settle(orphan, 0)
    assert survivors(orphan) == [], "nobody has opened their gates"


def test_a_process_that_got_an_old_number_is_none_of_ours() -> None:
    own = Scope("olares-1", "group", "", os.getpid(), start_time(os.getpid()) - 1, boot_id())
    parent = Scope("olares-1", "group", "", os.getppid(), start_time(os.getppid()) - 1, boot_id())
    other_boot = Scope("olares-1", "group", "", os.getppid(), start_time(os.getppid()), "another")
    assert [survivors(scope) for scope in (own, parent, other_boot)] == [[], [], []]


SYSTEMD_RUN = """#!/bin/sh
echo "$@" > "$LOG"
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


def test_with_systemd_a_process_runs_in_a_unit_named_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Names(Journal):
        def opened(self, scope: Scope) -> None:
            self.opened_scopes.append(scope)
            assert not (tmp_path / "log").exists(), "journaled first"

    monkeypatch.setattr(runner, "has_systemd", lambda: True)
    (tmp_path / "systemd-run").write_text(SYSTEMD_RUN)
    (tmp_path / "systemd-run").chmod(0o755)
    journal = Names()
    env = {"PATH": f"{tmp_path}:{runner.PATH}", "LOG": str(tmp_path / "log")}
    answer = run_process(["sh", "-c", "echo $OLARES_SCOPE; exit 4"], timeout=10, ok=(4,), env=env, scopes=journal)
    (scope,) = journal.closed_scopes
    assert (scope.kind, scope.unit, answer.stdout) == ("systemd", f"{scope.name}.scope", f"{scope.name}\n")
    assert f"--scope --quiet --collect --unit={scope.name} -- " in (tmp_path / "log").read_text()


@pytest.mark.parametrize("line", ["0::/system.slice/{}", "1:name=systemd:/system.slice/{}", "0::/system.slice/{}/sub"])
def test_a_units_processes_are_told_by_their_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    rows = {101: "olares-1.scope", 102: "olares-11.scope", 103: "olares-1.scope"}
    for pid, unit in rows.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(f"5:cpu:/olares-1.scope\n{line.format(unit)}\n")
        state = "Z" if pid == 103 else "S"
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a ) b) {state} 1 {pid} {pid} " + "0 " * 15 + "777 0\n")
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot\n")
    monkeypatch.setattr(scopes, "_PROC", tmp_path)
    assert survivors(Scope("olares-1", "systemd", "olares-1.scope", 0, 0, "boot")) == [101]
    assert start_time(101) == 777


def test_a_run_that_is_to_stop_ends_what_may_be_cut_short() -> None:
    journal = Journal()
    threading.Timer(0.3, journal.stop.set).start()
    with pytest.raises(Interrupted):
        runner.run_process(["sleep", "30"], timeout=60, scopes=journal)
    (scope,) = journal.closed_scopes
    assert survivors(scope) == []
