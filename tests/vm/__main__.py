"""Run the scenarios in the order they are written; they build on one another.

    python -m tests.vm [PYTEST-ARGUMENT...]

OLARES_VM_DIR names the directory for the guest's parts (some 4 GiB); else it is build/vm.
OLARES_VM_RELEASE is Debian's code name of the guest, bookworm unless set; each wants a directory of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.vm.assemble import lacking

HERE = Path(__file__).parent


def main(arguments: Sequence[str]) -> int:
    if missing := lacking():
        sys.stdout.write(f"NOT RUN: all of e2e-vm. Missing here: {'; '.join(missing)}\n")
        return 1
    return int(pytest.main([str(HERE), "-p", "no:randomly", "-vv", "-s", "-x", *arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
