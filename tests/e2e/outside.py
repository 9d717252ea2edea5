"""This computer as machines may change it: the part of its snapshot that must be as before once they are gone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.compare import PROGRAM, Snapshot

KINDS = ("mount ", "link ", "address ", "route ", "rules ", "cgroup ", "unit ", "unit-file ", "package ", "sysctl net/")
LOOKED_AT = frozenset({"/etc", "/run", "/var", "/var/lib", "/var/lib/olares"})
"""Of the file tree; the rest is other people's work of this very hour."""

OURS = ("path /etc/", "path /run/olares", "path /run/systemd/nspawn", "path /var/lib/olares", "path /var/lib/machines")
BUSY = {"sysctl net/netfilter/nf_conntrack_count"}


def take() -> Snapshot:
    """Only what a machine's outer half could have touched."""
    elsewhere = [
        str(path) for top in ("/", "/var", "/var/lib") for path in Path(top).iterdir() if str(path) not in LOOKED_AT
    ]
    argv = [sys.executable, str(PROGRAM), *elsewhere]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return {name: said for name, said in found.items() if name.startswith((*KINDS, *OURS)) and name not in BUSY}
