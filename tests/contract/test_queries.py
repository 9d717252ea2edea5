"""Every query that can run here leaves what it could write to as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from installers.core.facts.packages import problem_in
from installers.core.host.queries import QUERIES, argv_of, ask
from installers.core.host.runner import run_process
from installers.core.model import Query

WATCHED = (
    "/etc",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/cache/apt",
    "/var/lib/systemd",
    "/run/systemd",
    "/run/xtables.lock",
)
OPERANDS = {
    ("dpkg-query", "-s"): ("bash",),
    ("dpkg-query", "-L"): ("bash",),
    ("dpkg-query", "-S"): ("/bin/bash",),
    ("dpkg", "--compare-versions"): ("1", "lt", "2"),
    ("apt-cache",): ("bash",),
    ("apt-get",): ("bash",),
    ("getent",): ("root",),
    ("systemctl", "show"): ("ssh.service",),
    ("systemctl", "cat"): ("ssh.service",),
    ("proxy-answer",): ("127.0.0.1", "9"),
    ("registry-answer",): ("http://127.0.0.1:9/v2/",),
    ("ip", "-j", "route", "get"): ("127.0.0.1",),
}
SLOW = {"apt-cache": ("policy",), "apt-get": ("-s", "install")}
"""apt's verbs open the same files and take seconds: one of each program stands for all."""

CASES = [
    (name, verb)
    for name, row in QUERIES.items()
    for verb in row.verbs
    if not row.required and verb == SLOW.get(name, verb)
]


def snapshot() -> dict[str, tuple[int, int, int]]:
    found = {}
    for top in WATCHED:
        if Path(top).exists():
            status = os.lstat(top)
            found[top] = (status.st_ino, status.st_size, status.st_mtime_ns)
    left = [top for top in WATCHED if Path(top).is_dir()]
    while left:
        # Thousands of files, twice for every query: no Path for each of them.
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                found[entry.path] = (status.st_ino, status.st_size, status.st_mtime_ns)
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
    return found


@pytest.mark.processes
@pytest.mark.parametrize(("name", "verb"), CASES, ids=[" ".join((name, *verb)) for name, verb in CASES])
def test_a_query_changes_nothing(name: str, verb: tuple[str, ...]) -> None:
    if shutil.which(QUERIES[name].program) is None:
        pytest.skip(f"{name} is not on this machine: not shown here")
    words = (name, *verb)
    operands = next((value for key, value in OPERANDS.items() if words[: len(key)] == key), ())
    before = snapshot()
    answer = ask(Query(name, (*verb, *operands)))
    assert snapshot() == before
    assert "unrecognized" not in answer.stderr + answer.stdout
    assert "nvalid option" not in answer.stderr


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not on this machine: not shown here")
def test_lists_from_a_dead_mirror_fail_by_name_and_their_directory_is_made(tmp_path: Path) -> None:
    """Also on a computer where nothing of the cache is there yet."""
    lists = tmp_path / "cache/olares/apt/day/2026-11-22"
    dead = tmp_path / "sources.list"
    dead.write_text("deb http://127.0.0.1:9/debian bookworm main\n")
    argv = argv_of(Query("apt-lists", ("update", f"-oDir::State::Lists={lists}")))
    # Tried once: apt waits longer before each further try.
    elsewhere = (f"-oDir::Etc::SourceList={dead}", f"-oDir::Etc::SourceParts={tmp_path}/none", "-oAcquire::Retries=0")
    ended = run_process([*argv, *elsewhere], timeout=20, ok=None, env=QUERIES["apt-lists"].env)
    assert (ended.code, problem_in(ended.stdout + ended.stderr)[0]) == (100, "OLR-PKG-002")
    assert (lists / "partial").is_dir()
