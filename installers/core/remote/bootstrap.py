"""Put the program on this host from a wheelhouse: run with any python3, nothing else is assumed.

    python3 bootstrap.py WHEELHOUSE

Makes a virtual environment in /opt/olares from the wheels alone (no network), with pip taken from
its own wheel since Debian's python3 has none, and links ``olares-cli`` and ``olaresd`` into
/usr/local/bin. A new version is made beside the old one and swapped in by one rename.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = Path("/opt/olares")
LINKS = Path("/usr/local/bin")
COMMANDS = ("olares-cli", "olaresd")
OLDEST = (3, 11)
TIMEOUT = 300.0
"""Seconds for one step; unpacking some twenty wheels takes about ten on a slow disk."""


def fingerprint(wheels: list[Path]) -> str:
    """One digest over the names and contents of all wheels: the same wheels need no second install."""
    total = hashlib.sha256()
    for wheel in wheels:
        total.update(wheel.name.encode() + b"\0" + hashlib.sha256(wheel.read_bytes()).digest())
    return total.hexdigest()[:16]


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT)


def make(release: Path, wheelhouse: Path, pip: Path) -> None:
    """A virtual environment holding exactly the wheels."""
    new = release.with_suffix(".new")
    if new.exists():
        shutil.rmtree(new)
    run(sys.executable, "-m", "venv", "--without-pip", str(new))
    run(
        *(str(new / "bin" / "python"), f"{pip}/pip", "install", "--quiet", "--no-index", "--no-compile"),
        *("--disable-pip-version-check", "--find-links", str(wheelhouse), "olares", "pip"),
    )
    # All at once now, rather than a piece by whoever runs it next: a plan must write nothing.
    run(
        str(new / "bin" / "python"),
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "-s",
        str(new),
        "-p",
        str(release),
        str(new / "lib"),
    )
    # Kept for the machines this host may make: they get this very program.
    shutil.copytree(
        wheelhouse, new / "wheelhouse", ignore=lambda _, names: [n for n in names if not n.endswith(".whl")]
    )
    for script in (new / "bin").iterdir():
        # pip wrote the path of the directory it worked in; the final one is known.
        if script.is_file() and not script.is_symlink() and script.read_bytes().startswith(b"#!"):
            script.write_bytes(script.read_bytes().replace(str(new).encode(), str(release).encode(), 1))
    new.rename(release)


def in_use() -> set[Path]:
    """Releases a program runs from right now: a run that is going on must find its own files to the end."""
    used = set()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:
            continue
        for word in (Path(word.decode(errors="replace")) for word in words[:2]):
            if word.is_relative_to(PROGRAM) and word != PROGRAM:
                used.add((PROGRAM / word.relative_to(PROGRAM).parts[0]).resolve())
    return used


def link(release: Path) -> None:
    """Point /opt/olares/current and the two commands at a release, each by one rename."""
    for where, target in [
        (PROGRAM / "current", Path(release.name)),
        *((LINKS / name, PROGRAM / "current" / "bin" / name) for name in COMMANDS),
    ]:
        if where.exists() and not where.is_symlink():
            raise SystemExit(f"bootstrap: {where} is there and not ours. Move it away and run this again.")
        aside = where.with_name(f".{where.name}.new")
        aside.unlink(missing_ok=True)
        aside.symlink_to(target)
        aside.rename(where)


def remove() -> None:
    """Take this program off the host, where it was put by this file. Nothing can be imported after that."""
    if not Path(sys.prefix).is_relative_to(PROGRAM):
        return
    for path in (LINKS / name for name in COMMANDS):
        if path.is_symlink() and path.readlink().is_relative_to(PROGRAM):
            path.unlink()
    shutil.rmtree(PROGRAM)


def main(arguments: list[str]) -> None:
    if sys.version_info < OLDEST:
        raise SystemExit(
            f"bootstrap: Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}."
        )
    if len(arguments) != 1:
        raise SystemExit("usage: python3 bootstrap.py WHEELHOUSE")
    wheelhouse = Path(arguments[0]).resolve()
    wheels = sorted(wheelhouse.glob("*.whl"))
    pip = next((wheel for wheel in wheels if wheel.name.startswith("pip-")), None)
    if pip is None or not any(wheel.name.startswith("olares-") for wheel in wheels):
        raise SystemExit(f"bootstrap: {wheelhouse} holds no olares and pip wheels. Make it with: make wheelhouse")
    release = PROGRAM / fingerprint(wheels)
    PROGRAM.mkdir(parents=True, exist_ok=True)
    if not release.exists():
        make(release, wheelhouse, pip)
    link(release)
    used = in_use()
    for other in PROGRAM.iterdir():
        if other.is_dir() and not other.is_symlink() and other != release and other not in used:
            shutil.rmtree(other)
    print(f"olares-cli is ready in {release}")  # noqa: T201 (a script's one line of output)


if __name__ == "__main__":
    main(sys.argv[1:])
