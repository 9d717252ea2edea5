"""Make a wheelhouse: this program's wheel, its locked dependencies and pip, for the Pythons of Debian 12 and 13.

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

PYTHONS = ("3.11", "3.13")
"""Those of the releases a machine can have."""

PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64", "any")
TIMEOUT = 900.0


def pip(*words: str) -> None:
    argv = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT, cwd=ROOT)


def target(python: str) -> list[str]:
    """pip's options that choose wheels for a Python, 3.11 say, whichever one runs us."""
    own = f"cp{python.replace('.', '')}"
    words = ["--python-version", python, "--implementation", "cp", "--abi", own, "--abi", "abi3", "--abi", "none"]
    return words + [word for platform in PLATFORMS for word in ("--platform", platform)]


def missing(directory: Path, requirements: str) -> bool:
    """Whether a locked version has no wheel here yet for one of the Pythons, or a wheel is here that is not locked."""
    locked = {f"{_name(n)}-{v}" for n, v in re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)", requirements, re.MULTILINE)}
    wheels = [path.name for path in directory.glob("*.whl")]
    return any(locked != {_release(name) for name in wheels if _fits(name, python)} for python in PYTHONS)


def _release(wheel: str) -> str:
    name, version, *_ = wheel.split("-")
    return f"{_name(name)}-{version}"


def _fits(wheel: str, python: str) -> bool:
    """Whether a wheel's tags allow a Python: ``cp313`` only itself, ``abi3`` and ``none`` all later ones."""
    interpreter, abi, _ = wheel.removesuffix(".whl").split("-")[-3:]
    return abi in ("abi3", "none") or f"cp{python.replace('.', '')}" in interpreter.split(".")


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
        for python in PYTHONS:
            pip("download", *only, *target(python), "--dest", str(directory), "--requirement", str(runtime))
        runtime.unlink()
    # setuptools copies from what it built before, files deleted since included.
    shutil.rmtree(ROOT / "build/lib", ignore_errors=True)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), ".")


if __name__ == "__main__":
    main(sys.argv[1:])
