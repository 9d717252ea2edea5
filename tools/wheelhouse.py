"""Make a wheelhouse: this program's wheel, its locked dependencies and pip, for the Python of Debian 12.

    python -m tools.wheelhouse DIRECTORY

Dependencies come as hashed in requirements.lock and are fetched once; our own wheel is built anew.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
DEVELOPMENT = "# development only"
"""The line in the lock after which come tools that machines do not need."""

TARGET = (
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"),
    *(
        "--platform",
        "manylinux2014_x86_64",
        "--platform",
        "manylinux_2_28_x86_64",
        "--platform",
        "manylinux_2_34_x86_64",
    ),
    *("--platform", "any"),
)
TIMEOUT = 900.0


def pip(*words: str) -> None:
    argv = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT, cwd=ROOT)


def missing(directory: Path, requirements: str) -> bool:
    """Whether a locked version has no wheel here yet, or a wheel is here that is not locked."""
    locked = {f"{_name(n)}-{v}" for n, v in re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)", requirements, re.MULTILINE)}
    there = {"-".join((_name(p.name.split("-")[0]), p.name.split("-")[1])) for p in directory.glob("*.whl")}
    return locked != there


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def main(arguments: list[str]) -> None:
    directory = Path(arguments[0]).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("olares-*.whl"):
        old.unlink()
    requirements = LOCK.read_text().partition(DEVELOPMENT)[0]
    if missing(directory, requirements):
        for old in directory.glob("*.whl"):
            old.unlink()
        runtime = directory / "requirements.txt"
        runtime.write_text(requirements)
        only = ("--only-binary", ":all:", "--require-hashes", "--no-deps")
        pip("download", *only, *TARGET, "--dest", str(directory), "--requirement", str(runtime))
        runtime.unlink()
    # setuptools copies from what it built before, files deleted since included.
    shutil.rmtree(ROOT / "build/lib", ignore_errors=True)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), ".")


if __name__ == "__main__":
    main(sys.argv[1:])
