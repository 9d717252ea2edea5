"""Sharing the mounts below / and taking that back, as our unit does it: in a namespace of its own, by a real kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.resources import files

import pytest

from installers.core.facts.storage import parse_root_shared

UNIT = files("installers.infrastructure.host").joinpath("shared-mounts.service.j2").read_text()
NAMESPACE = ("unshare", "--mount", "--propagation")
SHOW = "sed 's/^[0-9]* [0-9]*/1 1/' /proc/self/mountinfo; echo ==="


def _command(name: str) -> str:
    [line] = [line for line in UNIT.splitlines() if line.startswith(f"{name}=")]
    return line.partition("=")[2]


LOOKED = "; ".join((SHOW, _command("ExecStart"), SHOW, _command("ExecStop"), SHOW))
"""mountinfo before our unit starts, while it runs and after it was stopped."""


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root: not shown here")
@pytest.mark.parametrize(
    ("argv", "mark"),
    [
        pytest.param((*NAMESPACE, "private", "sh", "-ec", LOOKED), "", id="private"),
        # A namespace that follows a parent whose mounts are shared: what LXC gives a container.
        pytest.param(
            (*NAMESPACE, "shared", "sh", "-ec", 'unshare --mount --propagation slave sh -ec "$0"; true', LOOKED),
            " master:",
            id="following",
        ),
    ],
)
def test_afterwards_the_mounts_are_as_before(argv: tuple[str, ...], mark: str) -> None:
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=False)
    if "unshare:" in ended.stderr:
        pytest.skip(f"no mount namespace to be had here, not shown: {ended.stderr.strip()}")
    assert not ended.returncode, ended.stderr
    before, between, after, _ = ended.stdout.split("===\n")
    assert mark in before
    assert not parse_root_shared(before)
    assert parse_root_shared(between)
    assert after == before
