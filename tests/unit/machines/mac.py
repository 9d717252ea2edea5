"""Runs the command line as on a Mac as far as a Linux can play one: no /proc, /sys, /run and systemd, no pidfds.

A program for a test: ``python -m tests.unit.machines.mac machine list``. What of Linux is opened all the same is
printed to standard error and ends it with status 99.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from typing import Any

LINUX = ("/proc", "/sys", "/run", "/etc/os-release", "/var/lib", "/var/cache", "/var/log", "/var/run")
GONE = ("pidfd_open", "memfd_create", "setns", "unshare", "splice", "sched_getaffinity", "copy_file_range")

touched: list[str] = []


def watch(event: str, args: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir", "os.mkdir", "sqlite3.connect") and args:
        path = str(args[0])
        if path.startswith(LINUX) and not path.startswith(sys.prefix):
            touched.append(f"{event} {path}\n" + "".join(traceback.format_stack(limit=8)))
            raise FileNotFoundError(2, "No such file or directory", path)


def main() -> None:
    # What Python's own modules decide when they are imported is theirs: only ours are to see a Mac.
    import pathlib
    import sqlite3
    import sysconfig
    import tempfile

    _ = (pathlib, sqlite3, tempfile, subprocess, sysconfig.get_config_vars())
    sys.platform = "darwin"
    for name in GONE:
        if hasattr(os, name):
            delattr(os, name)
    os.geteuid = lambda: 501
    sys.addaudithook(watch)
    from installers.core.host import scopes
    from olares_cli import app

    scopes._PROC = pathlib.Path("/nothing/proc")
    code = app.run(sys.argv[1:])
    if touched:
        sys.stderr.write("\n".join(touched))
        sys.exit(99)
    sys.exit(code)


if __name__ == "__main__":
    main()
