"""Measure the fetcher beside aria2c and curl: one file, one server shaped to 1 Gbit/s, rounds in turn.

    python -m tests.bench.fetch

Ours verifies the sha256 and flushes the file to disk; the peers do neither. Time and CPU are those of the
client's whole process. Ours starts an interpreter and imports first; the row "fetch() alone" is without
that: in an install the program that fetches runs already. Peers are taken from PATH or from ARIA2C and
CURL (Debian's packages aria2 and curl); one that is not there is NOT MEASURED. FETCH_BENCH_DIR: where the
file and the downloads lie (default build/; on a tmpfs taking the room first costs the time of writing it).
Ends with 1 when the budget is missed, with 2 when it could not be measured: that is never the same as kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE = 512 << 20
RATE = 125_000_000
"""Bytes a second: 1 Gbit/s of payload, over all connections together."""

ROUNDS = 5
BUDGET = 0.95
"""Of aria2c's rate (DESIGN: fetch with verification against aria2c -x8 without)."""

OURS = "olares (sha256, flushed)"
ALONE = "olares, fetch() alone"
ARIA2 = "aria2c -x8"
CURL = "curl"
NEEDS = {ARIA2: "apt-get install aria2, or name the program in ARIA2C", CURL: "apt-get install curl, or CURL"}

BUILD = Path(__file__).parents[2] / "build"

_CLIENT = """
import os
import sys
import time
from pathlib import Path
from installers.core.artifacts.fetch import Wanted, fetch
url, size, sha256, to = sys.argv[1:]
wanted, before, began = Wanted("bench", int(size), sha256), os.times(), time.perf_counter()
fetch((url,), wanted, to=Path(to), report=lambda *_: None)
seconds, after = time.perf_counter() - began, os.times()
print(seconds, after.user + after.system - before.user - before.system)
"""


@dataclass(frozen=True, slots=True)
class Round:
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of the rounds of one client."""

    client: str
    rounds: tuple[Round, ...]

    @property
    def rate(self) -> float:
        """MiB a second."""
        return SIZE / (1 << 20) / statistics.median(row.seconds for row in self.rounds)

    @property
    def cpu(self) -> float:
        """CPU seconds per GiB."""
        return statistics.median(row.cpu for row in self.rounds) * (1 << 30) / SIZE


def clients(url: str, digest: str, to: Path) -> dict[str, list[str]]:
    """The command lines of those that can be run here."""
    found = {OURS: [sys.executable, "-c", _CLIENT, url, str(SIZE), digest, str(to)]}
    aria2 = os.environ.get("ARIA2C") or shutil.which("aria2c")
    if aria2:
        options = ["-x8", "-s8", "-q", "--no-conf", "--allow-overwrite=true", "--file-allocation=none"]
        found[ARIA2] = [aria2, *options, f"--dir={to.parent}", f"--out={to.name}", url]
    curl = os.environ.get("CURL") or shutil.which("curl")
    if curl:
        found[CURL] = [curl, "--silent", "--show-error", "--fail", "--output", str(to), url]
    return found


def one(argv: list[str], to: Path) -> tuple[Round, list[Round]]:
    """Run a client from nothing to its end; also what it said of itself, if it did."""
    to.unlink(missing_ok=True)
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    seconds, after = time.perf_counter() - began, os.times()
    if to.stat().st_size != SIZE:
        raise ValueError(f"{argv[0]} left {to.stat().st_size} bytes")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    said = [float(word) for word in done.stdout.split()] if argv[0] == sys.executable else []
    return Round(seconds, cpu), [Round(*said)] if said else []


@contextmanager
def served(file: Path) -> Iterator[str]:
    """The shaped server in a process of its own."""
    argv = [sys.executable, "-m", "tests.bench.shaped", str(file), str(RATE)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/file"
        finally:
            server.stdin.close()
            server.wait(10)


def measure(where: Path) -> list[Result]:
    """All clients in turn, ``ROUNDS`` times, after one round that is not counted."""
    file = where / "source"
    sha256 = hashlib.sha256()
    with file.open("wb") as out:
        for _ in range(SIZE >> 20):
            chunk = os.urandom(1 << 20)
            sha256.update(chunk)
            out.write(chunk)
    rounds: dict[str, list[Round]] = {}
    with served(file) as url:
        rows = clients(url, sha256.hexdigest(), where / "got")
        for number in range(ROUNDS + 1):
            for client, argv in rows.items():
                row, alone = one(argv, where / "got")
                if number:
                    rounds.setdefault(client, []).append(row)
                    rounds.setdefault(ALONE, []).extend(alone)
    return [Result(client, tuple(found)) for client, found in rounds.items()]


def table(results: list[Result]) -> str:
    peer = next((row for row in results if row.client == ARIA2), None)
    cells = [("fetch, server shaped to 1 Gbit/s", "rate", "of aria2c -x8", "CPU per GiB", "budget")]
    for row in results:
        ratio = f"{row.rate / peer.rate:.3f} x" if peer else "-"
        budget = f">= {BUDGET} x" if row.client == OURS else ""
        cells.append((row.client, f"{row.rate:.1f} MiB/s", ratio, f"{row.cpu:.2f} s", budget))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells]
    missing = {ARIA2, CURL} - {row.client for row in results}
    lines += [f"NOT MEASURED: {name}, which is not installed ({NEEDS[name]})" for name in sorted(missing)]
    return "\n".join(lines)


def verdict(results: list[Result]) -> int:
    """0: the budget is kept; 1: it is not; 2: there was no peer to measure it against."""
    rates = {row.client: row.rate for row in results}
    if ARIA2 not in rates:
        return 2
    return int(rates[OURS] < BUDGET * rates[ARIA2])


def main() -> int:
    where = Path(os.environ.get("FETCH_BENCH_DIR") or BUILD)
    where.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where, prefix="fetch-bench-") as folder:
        results = measure(Path(folder))
    load = os.getloadavg()[0]
    sys.stdout.write(f"{table(results)}\n{ROUNDS} rounds, medians; load of this computer at the end: {load:.1f}\n")
    return verdict(results)


if __name__ == "__main__":
    sys.exit(main())
