"""Write requirements.lock anew: every dependency with the hashes of all its files, development tools last.

    python -m tools.lock

Needs pip-tools in the environment. Names no index: whichever pip is set up to use must hold the same bytes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.wheelhouse import DEVELOPMENT, LOCK, ROOT

OPTIONS = (
    *("--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-emit-index-url", "--no-emit-find-links"),
    *("--no-emit-trusted-host", "--no-header", "--no-annotate", "--quiet"),
)


def compiled(*words: str) -> str:
    with tempfile.NamedTemporaryFile(suffix=".txt") as out:
        argv = [sys.executable, "-m", "piptools", "compile", *OPTIONS, "--output-file", out.name, *words]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=600, cwd=ROOT)
        return Path(out.name).read_text()


def blocks(text: str) -> list[str]:
    """One requirement with its hashes each."""
    found: list[str] = []
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            found.append(line)
        elif line.startswith(" ") and found:
            found[-1] += "\n" + line
    return found


def main() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".in") as more:
        more.write("pip\n")
        more.flush()
        runtime = blocks(compiled("pyproject.toml", more.name))
        everything = blocks(compiled("--extra", "dev", "pyproject.toml", more.name))
    names = {block.split("==")[0] for block in runtime}
    tools = [block for block in everything if block.split("==")[0] not in names]
    LOCK.write_text("\n".join(["# Written by tools/lock.py.", *runtime, DEVELOPMENT, *tools]) + "\n")


if __name__ == "__main__":
    main()
