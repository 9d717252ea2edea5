"""The daemon's entry point. Watching, explaining and healing are built by later issues; it says so."""

from __future__ import annotations

import sys
from importlib.metadata import version


def main() -> None:
    """Answer ``--version``; anything else is refused, so that no unit can pretend to watch a machine."""
    if sys.argv[1:] == ["--version"]:
        print(f"olaresd {version('olares')}")  # noqa: T201 (its whole output)
        return
    sys.exit("olaresd: not built yet. What works today: olares-cli --help")
