"""What goes wrong for real: each time a clear error with its id, and nothing is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import Fresh
from tests.e2e.inside import PROGRAM, Inside, Ran, Unexpected, lines_of
from tests.e2e.test_01_plan import NOBODY
from tests.e2e.test_05_uninstall import UNINSTALL
from tests.e2e.test_06_kill import begun

SMALL = ("--phase", "host", "--phase", "runtime")
"""As much of an install as these need: packages, files, a service."""

CACHE = "/var/lib/olares/e2e-cache"
"""A cache of its own, where what the shared one holds would be in the way."""


@pytest.fixture
def bare(shipped: Fresh) -> Iterator[Inside]:
    """The machine with nothing installed, before and after."""
    inside = shipped.inside
    empty(inside)
    yield inside
    inside.run("rm", "-rf", CACHE, "/etc/olares/olares.yaml")
    empty(inside)


def empty(inside: Inside) -> None:
    inside.ship()
    if set(inside.states().values()) - {"absent", "skipped"} or inside.exists_inside("/var/lib/olares/journal.sqlite"):
        inside.cli("uninstall", "--yes", ok=(0, 3), timeout=UNINSTALL)
        inside.ship()


def install(inside: Inside, *, ok: tuple[int, ...] = (0,), cache: str = "") -> Ran:
    environ = {"OLARES_CACHE_DIR": cache} if cache else None
    return inside.cli("install", "--yes", *SMALL, ok=ok, environ=environ, timeout=600)


@contextmanager
def installing(inside: Inside, *, at: str, key: str) -> Iterator[subprocess.Popen[str]]:
    """An install that is just in the middle: at the first event of a type about a key."""
    with begun(inside.begin(*inside.command("install", "--yes", *SMALL))) as process:
        for record in lines_of(process):
            if record["type"] == at and record.get("key", "").startswith(key):
                yield process
                return
        raise Unexpected(f"no {at} about {key}")


def last_result(process: subprocess.Popen[str]) -> dict[str, object]:
    return [record for record in lines_of(process) if record["type"] == "result"][-1]


def refused(ran: Ran, id: str, *words: str) -> None:
    """A refusal is one error with its id which says these words, and no traceback."""
    said = ran.out + ran.err
    assert ran.code != 0
    assert id in said, str(ran)
    assert [word for word in words if word not in said] == [], str(ran)
    assert "Traceback" not in said


def test_every_problem_of_the_configuration_is_named_with_its_line(bare: Inside) -> None:
    bare.shell("mkdir -p /etc/olares")
    bare.write("/etc/olares/olares.yaml", "network:\n  pod: 10.0.0.0/16\naccept_eol: perhaps\nskp: []\n")
    ran = bare.cli("install", "--yes", ok=())
    refused(ran, "OLR-CFG-001", "olares.yaml:2", "olares.yaml:3", "olares.yaml:4", "pods", "skip")


def test_an_unknown_phase_is_refused_with_the_nearest_one(bare: Inside) -> None:
    ran = bare.cli("install", "--yes", "--phase", "runtim", ok=())
    refused(ran, "OLR-CLI-001", "runtim", "did you mean runtime?")
    assert ran.code == 2


def test_without_root_an_install_says_so(bare: Inside) -> None:
    ran = bare.run(*NOBODY, "env", "HOME=/nonexistent", PROGRAM, "install", "--yes", ok=())
    refused(ran, "OLR-", "sudo")


def test_a_port_in_use_is_named_with_its_process(bare: Inside) -> None:
    hold = "import socket, time; s = socket.create_server(('0.0.0.0', 6443)); time.sleep(60)"
    bare.run("systemd-run", "--quiet", "--unit=e2e-port", "python3", "-c", hold)
    try:
        bare.shell("for n in $(seq 50); do ss -ltn | grep -q :6443 && exit 0; sleep 0.1; done; exit 1")
        ran = bare.cli("install", "--yes", ok=())
    finally:
        bare.run("systemctl", "stop", "e2e-port", ok=())
    refused(ran, "OLR-", "6443", "python3")
    assert ran.code == 4


def test_a_second_install_at_the_same_time_names_the_first(bare: Inside) -> None:
    with installing(bare, at="action-started", key="packages:") as process:
        holder = bare.read("/run/olares/lock").split()[0]
        refused(install(bare, ok=()), "OLR-RUN-001", holder)
        assert last_result(process)["status"] == "done"


def test_a_held_apt_lock_is_waited_for_and_said(bare: Inside) -> None:
    hold = (
        "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w');"
        ' fcntl.lockf(f, fcntl.LOCK_EX); print(\'{"type": "held"}\', flush=True); time.sleep(15)'
    )
    with begun(bare.begin("python3", "-c", hold)) as holder:
        assert next(lines_of(holder))["type"] == "held"
        ran = install(bare)
    waited = [row for row in ran.of("progress") if "lock" in row["text"].lower()]
    assert waited, "nothing was said about the lock"


def test_a_dead_mirror_is_named_and_the_next_install_goes_on(bare: Inside) -> None:
    dead = "/etc/apt/apt.conf.d/99e2e"
    bare.write(dead, 'Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::https::Proxy "http://127.0.0.1:9";\n')
    try:
        refused(install(bare, ok=(), cache=CACHE), "OLR-PKG-002", "127.0.0.1")
    finally:
        bare.run("rm", "-f", dead)
    assert install(bare, cache=CACHE).result["status"] == "done"


def test_a_disk_that_fills_up_in_the_middle_is_named_and_nothing_is_lost(bare: Inside) -> None:
    environ = {"OLARES_CACHE_DIR": CACHE}
    words = ("install", "--yes", *SMALL, "--waive", "disk-free")
    bare.shell(f"mkdir -p {CACHE}; mount -t tmpfs -o size=1g e2e {CACHE}")
    try:
        # With the package lists there, the packages themselves are what no longer fits.
        bare.cli("plan", *SMALL, ok=(3,), environ=environ)
        bare.shell(f"head -c 2G /dev/zero > {CACHE}/full || truncate --size=-2M {CACHE}/full")
        ran = bare.cli(*words, ok=(1,), environ=environ, timeout=300)
        refused(ran, "OLR-PKG-007")
        assert ran.result["changes"], "it did not fail in the middle"
        bare.shell(f"rm {CACHE}/full")
        assert bare.cli("resume", environ=environ, timeout=900).result["status"] == "done"
        assert bare.cli("plan", *SMALL, environ=environ).code == 0
    finally:
        empty(bare)
        bare.shell(f"umount {CACHE}")


def test_ctrl_c_ends_with_130_and_the_run_is_resumed(bare: Inside) -> None:
    with installing(bare, at="action-started", key="packages:") as process:
        bare.shell("pkill -INT -o -f 'olares-cli --output jsonl install'")
        result = last_result(process)
        assert process.wait(60) == 130
    assert result["status"] == "interrupted"
    assert install(bare).result["status"] == "done"
    assert bare.cli("plan", *SMALL, ok=(0,)).code == 0


def test_an_install_survives_a_lost_terminal_and_attach_follows_it(bare: Inside) -> None:
    with installing(bare, at="action-started", key="packages:") as process:
        process.kill()
        process.wait(10)
        ran = bare.cli("attach", timeout=300)
    assert ran.result["status"] == "done"
    assert bare.cli("plan", *SMALL, ok=(0,)).code == 0
