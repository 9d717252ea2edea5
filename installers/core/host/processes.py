"""Processes where there is no /proc (macOS): what ps(1) says, in the columns it has on every Unix."""

from __future__ import annotations

import calendar
import subprocess
import time

LIMIT = 10.0
"""Seconds ps may take."""


def start_time(pid: int) -> int:
    """When a process started, in seconds since 1970; 0 when there is no such process, or it only waits to be reaped."""
    rows = _ps("-o", "stat=", "-o", "lstart=", "-p", str(pid))
    if not rows or rows[0].startswith("Z"):
        return 0
    return parse_lstart(rows[0].split(None, 1)[1])


def parse_lstart(text: str) -> int:
    """``Sun Nov 22 17:20:54 2026`` in UTC: the C locale's form on Linux and macOS alike."""
    return calendar.timegm(time.strptime(text.strip(), "%a %b %d %H:%M:%S %Y"))


def members(group: int) -> tuple[int, ...]:
    """The living members of a process group, by number."""
    found = []
    for row in _ps("-A", "-o", "pid=", "-o", "pgid=", "-o", "stat="):
        pid, of, state = row.split()[:3]
        if int(of) == group and not state.startswith("Z"):
            found.append(int(pid))
    return tuple(sorted(found))


def _ps(*words: str) -> list[str]:
    """ps's rows. Not through the runner: that one asks here who its children are.

    One ``-o`` a column: POSIX takes all that follows an equals sign for the column's title.
    """
    # An exit status of 1 says that no process was found.
    done = subprocess.run(
        ["/bin/ps", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={"LC_ALL": "C", "TZ": "UTC"},
        check=False,
    )
    return [row.strip() for row in done.stdout.splitlines() if row.strip()]
