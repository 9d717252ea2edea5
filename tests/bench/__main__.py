"""Measure what has a budget, beside a peer in the same run, and print one table.

    python -m tests.bench

Commands that need no machine are measured on this computer. The rest is measured in a machine
``bench`` made for it and removed again; where none can be made these rows say so and are not counted.
Ends with 1 when a measured value is over its budget, with 2 when something with a budget was not measured.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from installers.machines.driver import lacking
from tests.bench import fetch
from tests.e2e.inside import PROGRAM, ROOT, WHEELS, Inside, outer
from tests.e2e.test_02_install import timed_install

PEERS = ROOT / "build/peers"
PEER_PACKAGES = ("ansible-core", "pyinfra")
ROUNDS = 7
MACHINE = "bench"
UP = 3600.0
WORK = ("fetch-artifact", "build-recipe")
"""Kinds of action after which a bring-up was not one from the cache."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One row: seconds as the median of several rounds, None where it could not be measured."""

    what: str
    seconds: float | None
    budget: float | None = None
    peer: float | None = None
    note: str = ""

    @property
    def over(self) -> bool:
        return self.seconds is not None and self.budget is not None and self.seconds > self.budget

    def cells(self) -> tuple[str, ...]:
        def said(value: float | None, form: str = "{:.2f} s") -> str:
            return "-" if value is None else form.format(value)

        ratio = None if self.peer is None or self.seconds is None else self.seconds / self.peer
        verdict = self.note or ("" if self.budget is None else "OVER" if self.over else "within")
        return self.what, said(self.seconds), said(self.budget), said(ratio, "{:.2f} x"), verdict


def median(*argv: str) -> float:
    """Wall time of a command from start to end; the first round, which fills caches, is not counted."""
    times = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def peers() -> dict[str, float]:
    """Version commands of the field's own tools, in an environment of their own; those that can be had."""
    if not (PEERS / "bin/pip").exists():
        venv.create(PEERS, with_pip=True)
    found = {}
    for package, program in zip(PEER_PACKAGES, ("ansible", "pyinfra"), strict=True):
        pip = [str(PEERS / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", package]
        path = PEERS / "bin" / program
        if path.exists() or subprocess.run(pip, stdin=subprocess.DEVNULL, timeout=600, check=False).returncode == 0:
            found[f"{program} --version"] = median(str(path), "--version")
    return found


def here() -> Iterator[Measured]:
    """Commands on this computer, against the floor and the slowest and fastest peer."""
    others = peers()
    fastest = min(others.values(), default=None)
    cli = str(Path(sys.executable).with_name("olares-cli"))
    yield Measured("python -c pass (the floor)", median(sys.executable, "-c", "pass"))
    for name, seconds in others.items():
        yield Measured(f"{name} (a peer)", seconds)
    yield Measured("olares-cli --help", median(cli, "--help"), 0.25, fastest)
    yield Measured("olares-cli version", median(cli, "version"), peer=fastest)


def in_machine() -> Iterator[Measured]:
    """What needs a machine: a bring-up from the cache, status, a second install."""
    inside = Inside(MACHINE)
    try:
        seconds, worked = bring_up(inside)
        if worked:
            yield Measured("make up, nothing or not all cached", seconds, 900.0, note=f"{worked} fetched or built")
            inside.delete()
            seconds, worked = bring_up(inside)
        yield Measured("make up, everything cached", seconds, 120.0)
        inside.open()
        yield Measured("olares-cli --help, in the machine", inner(inside, "--help"), 0.25)
        yield Measured("olares-cli status, without the daemon", inner(inside, "status"), 1.0)
        rounds = [timed_install(inside) for _ in range(3)]
        changes = {ran.result["changes"] for _, ran, _ in rounds}
        took = statistics.median(end - begin for begin, _, end in rounds)
        yield Measured("second install", took, 3.0, note="" if changes == {0} else f"{changes} changes")
    finally:
        if inside.exists():
            inside.delete()
        inside.close()


def bring_up(inside: Inside) -> tuple[float, int]:
    """Seconds from nothing to a running Olares, and how many downloads and builds were in them."""
    if inside.exists():
        inside.delete()
    ran = outer("--output", "jsonl", "machine", "up", inside.name, "--wheelhouse", str(WHEELS), timeout=UP)
    inside.ended(ran)
    records = [json.loads(line) for line in ran.out.splitlines()]
    return ran.seconds, sum(row["type"] == "action-finished" and row["kind"] in WORK for row in records)


MEASURE = """
import subprocess, sys, time
times = []
for _ in range(8):
    began = time.perf_counter()
    subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    times.append(time.perf_counter() - began)
print(sorted(times[1:])[3])
"""


def inner(inside: Inside, *words: str) -> float:
    """The median of seven rounds, by the machine's own clock."""
    return float(inside.run("python3", "-c", MEASURE, PROGRAM, *words).out)


def table(rows: Sequence[Measured]) -> str:
    head = ("what", "measured", "budget", "of the fastest peer", "")
    cells = [head, *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells)


def main() -> int:
    rows = list(here())
    missing = lacking()
    if not missing:
        rows += in_machine()
    sys.stdout.write(table(rows) + "\n")
    if missing:
        sys.stdout.write(f"NOT MEASURED: make up, status, second install. Missing here: {'; '.join(missing)}\n")
    sys.stdout.write("\n")
    fetched = fetch.main()
    if fetched == 1 or any(row.over for row in rows):
        return 1
    return 2 if missing else fetched


if __name__ == "__main__":
    sys.exit(main())
