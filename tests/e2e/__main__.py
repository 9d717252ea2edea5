"""Run the scenarios in file order, and say at the end what was not run and why.

    python -m tests.e2e [--long] [PYTEST-ARGUMENT...]

OLARES_E2E_KEEP=NAME uses machine NAME as it stands and leaves it standing: for work on one scenario
(``-k drift``). A scenario that could not run never counts as passed; on a Debian computer where we
are root it is a failure.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from installers.machines.driver import lacking

HERE = Path(__file__).parent
CHOICES = {"": "not long", "long": ""}


class NotRun:
    """Collects what pytest did not run: skipped while running, or left to another make target."""

    def __init__(self) -> None:
        self.skipped: dict[str, str] = {}
        self.elsewhere: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        for item in items:
            self.elsewhere["long"] += item.get_closest_marker("long") is not None

    def report(self) -> None:
        for name, reason in self.skipped.items():
            say(f"NOT RUN: {name}: {reason}")
        for name, count in self.elsewhere.items():
            if count:
                say(f"NOT RUN: {count} scenarios of `make e2e-{name}`")
        say("NOT RUN here: the QEMU guest of `make e2e-vm`")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def required() -> bool:
    """Whether this is a computer on which every scenario must be able to run."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e")
    parser.add_argument("--long", dest="choice", action="store_const", const="long", default="")
    chosen, further = parser.parse_known_args(arguments)
    if missing := lacking():
        say(f"NOT RUN: all of e2e. Missing here: {'; '.join(missing)}")
        return 1 if required() else 0
    not_run = NotRun()
    # .ci/run ends a run that takes too long by SIGINT, which a background shell has its children ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Scenarios build on one another, so in the order they are written.
    words = [str(HERE), "-p", "no:randomly", "-vv", "-m", CHOICES[chosen.choice], *further]
    code = int(pytest.main(words, plugins=[not_run]))
    not_run.report()
    if not_run.skipped and code == 0 and required():
        say("A scenario that could not run is a failure on this computer.")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
