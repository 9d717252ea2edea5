"""Starting a run in a transient systemd unit of its own, so that it outlives the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from installers.core.host.runner import run_process
from installers.core.host.scopes import has_systemd
from olares_cli.runs.request import Request, write_request

START = 30.0
"""Seconds systemd may take to start a unit."""


def own_unit() -> bool:
    """Whether a run can have a unit of its own here: systemd is PID 1 and we may ask it."""
    return has_systemd() and os.geteuid() == 0


def unit_name(id: str) -> str:
    return f"olares-run-{id}.service"


def unit_arguments(id: str, request_path: str, *, python: str) -> tuple[str, ...]:
    """The command that starts the unit: no environment and no secret in it, both are in the request."""
    return (
        "systemd-run",
        f"--unit={unit_name(id)}",
        f"--description=Olares run {id}",
        "--collect",
        "--quiet",
        "--service-type=exec",
        "--property=OOMPolicy=continue",
        "--property=KillMode=mixed",
        "--property=TimeoutStopSec=120",
        "--",
        python,
        "-P",
        "-m",
        "olares_cli",
        "run",
        request_path,
    )


def start(request: Request, id: str, *, directory: str) -> None:
    """Start the run; returns once its program has been executed."""
    path = f"{directory}/run-{id}.json"
    write_request(request, path)
    try:
        run_process(unit_arguments(id, path, python=sys.executable), timeout=START)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
