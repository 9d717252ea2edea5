"""buildah with storage of its own below one directory, and the mounts it leaves there."""

from __future__ import annotations

import fcntl
import json
import re
import resource
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from installers.core.artifacts.recipes import Recipe
from installers.core.model import Output

_STEP = 600.0
"""Seconds for one of buildah's own steps (copy, commit); commands inside a root bring their own limit."""

_SETTINGS = "containers.conf"
_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
_FIXED = {"containers": Path("/var/lib/containers"), "networks": Path("/run/containers")}
"""What buildah writes whatever its settings say, and under which name it lies in the scratch directory meanwhile."""


class Run(Protocol):
    """Runs a program to its end: ``core.host.runner.run_process`` bound to a log."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Output: ...


@dataclass(frozen=True, slots=True)
class Bind:
    """A directory or file of the host, seen inside a root while one command runs."""

    source: Path
    target: str
    option: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.target}{':' if self.option else ''}{self.option}"


@dataclass(frozen=True, slots=True)
class Buildah:
    """One working container in a storage that goes away with ``scratch``."""

    scratch: Path
    driver: str
    run: Run

    def __post_init__(self) -> None:
        # Else it makes /etc/cni/net.d for its lock; and nobody's settings on this host should change a build.
        settings = f'[network]\nnetwork_config_dir = "{self.scratch}/network"\n'
        settings += f'[engine]\nhelper_binaries_dir = ["{self.scratch}/helpers"]\n'
        # Else 1.39 raises them to what it thinks is usual, for which not every root has the privilege.
        limits = ", ".join(f'"{name}={_limit(which)}"' for name, which in _LIMITS.items())
        settings += f"[containers]\ndefault_ulimits = [{limits}]\n"
        (self.scratch / _SETTINGS).write_text(settings)
        # 1.39 insists on this program before it knows that builds here use the host's network.
        (self.scratch / "helpers").mkdir(exist_ok=True)
        (self.scratch / "helpers/netavark").symlink_to("/bin/false")

    def _call(self, *args: str, timeout: float = _STEP, on_line: Callable[[str], None] | None = None) -> Output:
        where = ["--root", f"{self.scratch}/storage", "--runroot", f"{self.scratch}/run"]
        argv = ["buildah", *where, "--storage-driver", self.driver, *args]
        temporary = f"{self.scratch}/temporary"
        settings = f"{self.scratch}/{_SETTINGS}"
        env = {"BUILDAH_ISOLATION": "chroot", "CONTAINERS_CONF": settings, "TMPDIR": temporary, "HOME": temporary}
        return self.run(argv, timeout=timeout, env=env, on_line=on_line)

    def start(self, base: str) -> str:
        """A working container from ``scratch`` or ``oci-archive:PATH``; its name."""
        return self._call("from", "--quiet", "--pull-never" if base == "scratch" else "--pull", base).stdout.split()[-1]

    def inside(
        self,
        container: str,
        argv: Sequence[str],
        *,
        binds: Sequence[Bind] = (),
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        timeout: float = _STEP,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        """Run a command in the root, as root, with the host's network."""
        options = [f"--volume={bind}" for bind in binds]
        options += [f"--env={name}={value}" for name, value in (env or {}).items()]
        return self._call(
            *("run", "--user=0:0", f"--workingdir={workdir}", *options, container, "--", *argv),
            timeout=timeout,
            on_line=on_line,
        )

    def unpack(self, container: str, archive: Path) -> None:
        """Unpack a tar archive as the root's content."""
        self._call("add", "--quiet", container, str(archive), "/")

    def copy(self, container: str, tree: Path) -> None:
        """Copy a tree over the root; everything becomes root's."""
        self._call("copy", "--quiet", "--chown=0:0", container, str(tree), "/")

    def describe(self, container: str, recipe: Recipe) -> None:
        """Set what a recipe says of how the image runs."""
        options = [f"--env={name}={value}" for name, value in recipe.env.items()]
        if recipe.user:
            options.append(f"--user={recipe.user}")
        if recipe.workdir:
            options.append(f"--workingdir={recipe.workdir}")
        if recipe.entrypoint:
            options.append(f"--entrypoint={json.dumps(recipe.entrypoint)}")
        if recipe.cmd:
            options.append(f"--cmd={shlex.join(recipe.cmd)}")
        if options:
            self._call("config", *options, container)

    def commit(self, container: str, archive: Path, *, reference: str) -> None:
        """Write the image as an OCI archive; layers are not compressed, they never travel."""
        self._call("commit", "--quiet", "--disable-compression", container, f"oci-archive:{archive}:{reference}")


def _limit(which: int) -> str:
    """This process's own limit, soft and hard; -1 is none."""
    soft, hard = resource.getrlimit(which)
    return f"{soft}:{hard}"


def storage_driver(scratch: Path, mountinfo: str) -> str:
    """overlay where the scratch directory can carry one; vfs on top of an overlay, which cannot."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        point = _unescape(left.split()[4])
        inside = f"{scratch}/".startswith(point if point.endswith("/") else f"{point}/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return "vfs" if kind in ("overlay", "fuse-overlayfs", "aufs", "ecryptfs", "nfs", "nfs4") else "overlay"


def mounts_below(folder: Path, mountinfo: str) -> tuple[str, ...]:
    """Mount points below a directory, the latest and so the innermost first."""
    points = (_unescape(line.split()[4]) for line in mountinfo.splitlines())
    return tuple(reversed([point for point in points if f"{point}/".startswith(f"{folder}/")]))


def unmount_below(folder: Path, run: Run) -> None:
    """Unmount what a killed build left mounted below its scratch directory."""
    for point in mounts_below(folder, Path("/proc/self/mountinfo").read_text()):
        run(["umount", "--lazy", point], timeout=60)


@contextmanager
def hidden_cache(folder: Path, run: Run) -> Iterator[None]:
    """Keep buildah from writing outside its storage: it has a cache and a directory of networks at fixed places.

    Only to be used in a mount namespace of one's own: other directories are mounted over the places
    there. When one has to be made for that, the last of several builds takes it away again; what
    says so lies in ``folder`` and outlives a crash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "containers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        for name, place in _FIXED.items():
            (folder / name).mkdir(exist_ok=True)
            if not place.exists():
                (folder / f"{name}.made").touch()
                # Another build may make it at the same moment.
                place.mkdir(parents=True, exist_ok=True)
            run(["mount", "--bind", str(folder / name), str(place)], timeout=60)
        try:
            yield
        finally:
            for place in _FIXED.values():
                run(["umount", str(place)], timeout=60)
            # A directory removed here would lose its mount in another build's namespace.
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for name, place in _FIXED.items():
                    shutil.rmtree(folder / name)
                    if (folder / f"{name}.made").exists():
                        with suppress(OSError):
                            place.rmdir()
                        (folder / f"{name}.made").unlink()


def _unescape(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), point)
