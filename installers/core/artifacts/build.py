"""Building recipes: buildah in a scratch directory, nothing of it left behind, the result in the cache."""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from installers.core.artifacts.apt import Mirror, lists
from installers.core.artifacts.buildah import Bind, Buildah, Run, storage_driver, unmount_below
from installers.core.artifacts.cache import Cache, digest, slug
from installers.core.artifacts.disk import remove
from installers.core.artifacts.lay import lay
from installers.core.artifacts.recipes import BASE, IMAGE, ROOT, Planned, Recipe
from installers.core.artifacts.registries import fetched
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, BuiltFile
from installers.core.host.runner import run_process
from installers.core.model import Output

_HOST = "/run/olares-build"
_NAME = "org.opencontainers.image.ref.name"
_FRESH = 600.0
"""Seconds package lists count as fresh: the images of one install share one update."""

_APT = ("apt-get", "--yes", "--quiet", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0")
_TRACES = (
    *("/usr/sbin/policy-rc.d", _HOST, "/recipe", "/out", "/src", "/var/log/apt", "/var/log/dpkg.log"),
    *("/var/log/alternatives.log", "/var/cache/apt/pkgcache.bin", "/var/cache/apt/srcpkgcache.bin"),
    *("/var/cache/ldconfig/aux-cache", "/var/lib/dpkg/status-old", "/var/cache/debconf/templates.dat-old"),
)
"""What making an image leaves in its root: mount points of ours, logs, caches that are made anew."""

_MINIMAL = (
    *("--variant=minbase", "--mode=root", "--format=tar", "--include=ca-certificates"),
    # Keys and lists lie below the state directory, which apt's unprivileged user may not enter.
    "--aptopt=APT::Sandbox::User root",
    *('--aptopt=Acquire::Languages "none"', "--dpkgopt=path-exclude=/usr/share/man/*"),
    *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"),
    *("--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/info/*"),
)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where things are made: cache for results, ``scratch`` for what is thrown away, the host's mirror."""

    cache: Cache
    scratch: Path
    mirror: Mirror

    def make(self, planned: Planned, report: Report) -> Built:
        """A recipe's result in the cache: found there and verified, or made now with all it uses."""
        name = f"{slug(planned.name)}-{planned.key[:16]}"
        with self.cache.lock(name, report) as told:
            record = self.cache.recorded(planned.name, planned.key)
            place = self.cache.root / self.cache.folder(planned.name, planned.key)
            if record and self.cache.sound(place, self.cache.files(record), told, name=planned.name):
                return record
            remove(place)
            made = {one.name: self._folder(self.make(one, told)) for one in planned.uses}
            artifacts = {pin.name: fetched(pin, cache=self.cache, report=told) for pin in planned.pins}
            for where in (self.cache.root, self.scratch):
                self.cache.reserve(planned.recipe.disk << 20, where=where)
            with self._bench(planned, name, told) as bench:
                return bench.work(made, artifacts)

    def sweep(self) -> None:
        """Remove what killed builds left: scratch directories whose lock nobody holds."""
        for scratch in [path for path in self.scratch.iterdir() if self.cache.is_lock(path.name)]:
            with self.cache.free_lock(scratch.name) as free:
                if free:
                    unmount_below(scratch, run_process)
                    remove(scratch)

    def _folder(self, built: Built) -> Path:
        return self.cache.root / self.cache.folder(built.recipe, built.key)

    @contextmanager
    def _bench(self, planned: Planned, name: str, report: Report) -> Iterator[Bench]:
        """A scratch directory and a log; the directory is gone afterwards, the log stays."""
        scratch = self.scratch / name
        log = self.cache.root / "logs" / f"{slug(planned.name)}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            log.chmod(0o600)
            run = Logged(file)
            clear(scratch, run)
            for part in ("temporary", "out", "src", "stage"):
                (scratch / part).mkdir(parents=True, mode=0o755)
            driver = storage_driver(scratch, Path("/proc/self/mountinfo").read_text())
            try:
                yield Bench(self, planned, report, scratch, Buildah(scratch, driver, run), run)
            except Failure as failure:
                if not failure.id.startswith("OLR-HOST-"):
                    raise
                raise Failure("OLR-ART-010", recipe=planned.name, reason=failure.what, log=log) from failure
            finally:
                clear(scratch, run)


def clear(scratch: Path, run: Run) -> None:
    """Remove a build's scratch directory and whatever is mounted in it."""
    unmount_below(scratch, run)
    remove(scratch)


@dataclass(frozen=True, slots=True)
class Logged:
    """Runs programs with every line of theirs in a log."""

    file: IO[str]

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        def line(text: str) -> None:
            self.file.write(f"{text}\n")
            if on_line:
                on_line(text)

        self.file.write(f"# {' '.join(argv)}\n")
        output = run_process(argv, timeout=timeout, env=env, on_line=line)
        self.file.flush()
        return output


@dataclass(frozen=True, slots=True)
class Bench:
    """One recipe being made in its scratch directory."""

    shop: Workshop
    planned: Planned
    report: Report
    scratch: Path
    buildah: Buildah
    run: Run
    started: float = field(default_factory=time.monotonic)

    @property
    def _recipe(self) -> Recipe:
        return self.planned.recipe

    def work(self, made: Mapping[str, Path], artifacts: Mapping[str, Path]) -> Built:
        """Make everything, move it into the cache, and write down what it is."""
        self._say("preparing a root")
        if self.planned.name == BASE:
            container = self._minimal_root()
        else:
            base = f"oci-archive:{made[BASE] / IMAGE}" if self._recipe.base == "debian" else "scratch"
            container = self.buildah.start(base)
            self._packages(container)
            lay(self.planned, self.scratch / "stage", artifacts=artifacts, made=made)
            self.buildah.copy(container, self.scratch / "stage")
            self._commands(container)
        if self._recipe.reference:
            self._image(container)
        return self._keep()

    def _say(self, text: str) -> None:
        self.report(0, 0, "steps", f"{self._recipe.title}: {text}")

    def _minimal_root(self) -> str:
        release = self.shop.mirror.release
        host, archive = self.scratch / "host", self.scratch / "base.tar"
        conf = self.shop.mirror.lay(host, seen=str(host))
        # apt's own environment variables: unlike options they do not stay in the root.
        env = {"APT_CONFIG": str(conf), **self.shop.mirror.proxies()}
        self._say(f"unpacking {release}")
        argv = ["mmdebstrap", *_MINIMAL, release, str(archive), str(host / "sources.list")]
        self.run(argv, timeout=1800, env={**env, "TMPDIR": str(self.scratch / "temporary")})
        container = self.buildah.start("scratch")
        self.buildah.unpack(container, archive)
        parts = self.scratch / "stage/etc/apt"
        (parts / "apt.conf.d").mkdir(parents=True)
        (parts / "apt.conf.d/99mmdebstrap").write_text((ROOT / BASE / "apt.conf").read_text())
        (parts / "sources.list").write_text("")
        self.buildah.copy(container, self.scratch / "stage")
        return container

    def _packages(self, container: str) -> None:
        if not (self._recipe.packages or self._recipe.sources):
            return
        cache = self.shop.cache.root
        archives = cache / "apt/build-archives"
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        conf = self.shop.mirror.lay(self.scratch / "host", seen=_HOST)
        env = {"APT_CONFIG": f"{_HOST}/{conf.name}", "DEBIAN_FRONTEND": "noninteractive"}
        with lists(self.shop.cache, self.report) as folder:
            binds = (
                Bind(self.scratch / "host", _HOST, "ro"),
                Bind(ROOT / BASE / "policy-rc.d", "/usr/sbin/policy-rc.d", "ro"),
                Bind(folder, "/var/lib/apt/lists"),
                Bind(archives, "/var/cache/apt/archives"),
                Bind(self.scratch / "src", "/src"),
            )

            def apt(*args: str) -> None:
                argv = [*_APT, *args]
                self.buildah.inside(container, argv, binds=binds, env=env, workdir="/src", timeout=1800)

            self._say("fetching packages")
            self._update(apt)
            if self._recipe.packages:
                apt("install", "--download-only", *self._recipe.packages)
            if self._recipe.sources:
                apt("source", "--download-only", "--only-source", *self._recipe.sources)
        if self._recipe.packages:
            self._say("installing packages")
            # Everything is there; without apt's locks several images install at the same time.
            apt("install", "-o", "Debug::NoLocking=1", "--no-download", *self._recipe.packages)

    def _update(self, apt: Callable[..., None]) -> None:
        stamp = self.shop.cache.root / "apt/build-lists.sources"
        sources = (self.scratch / "host/sources.list").read_text()
        known = stamp.is_file() and stamp.read_text() == sources
        if not known or abs(time.time() - stamp.stat().st_mtime) > _FRESH:
            apt("update")
            stamp.write_text(sources)

    def _commands(self, container: str) -> None:
        binds = (
            Bind(self.planned.folder, "/recipe", "ro"),
            Bind(self.scratch / "out", "/out"),
            Bind(self.scratch / "src", "/src"),
        )
        deadline = time.monotonic() + 60 * self._recipe.minutes
        count = _Counter(self._recipe, self.report)
        for argv in self._recipe.commands:
            self._say(argv[-1])
            timeout = max(1.0, deadline - time.monotonic())
            env = {"HOME": "/root", **self._recipe.env}
            self.buildah.inside(container, argv, binds=binds, env=env, timeout=timeout, on_line=count)
        count.finish()

    def _image(self, container: str) -> None:
        self._say("writing the image")
        if self._recipe.packages or self._recipe.commands:
            self.buildah.inside(container, ["rm", "-rf", "--", *_TRACES])
        self.buildah.describe(container, self._recipe)
        archive = self.scratch / "out" / IMAGE
        self.buildah.commit(container, archive, reference=self._recipe.reference)
        if self._recipe.aliases:
            name_also(archive, self._recipe.aliases)

    def _keep(self) -> Built:
        """Move what was made into the cache; the ledger first, so that no entry is ever unknown."""
        cache, planned = self.shop.cache, self.planned
        temporary = cache.temporary(f"{slug(planned.name)}-{planned.key[:16]}")
        files = []
        for name in self._recipe.makes:
            made = self.scratch / "out" / name
            if not made.is_file():
                raise Failure("OLR-ART-011", recipe=planned.name, reason=f"its commands left no /out/{name}")
            made = _move(made, temporary / name)
            image = image_digest(made) if name == IMAGE else ""
            files.append(BuiltFile(name, digest(made), made.stat().st_size, image))
        seconds = round(time.monotonic() - self.started, 1)
        built = Built(planned.name, planned.key, tuple(files), seconds, round(time.time(), 3))
        cache.record(built)
        cache.place(temporary, cache.folder(planned.name, planned.key))
        return built


@dataclass(slots=True)
class _Counter:
    """Turns lines of output into progress."""

    recipe: Recipe
    report: Report
    done: int = 0

    def __call__(self, line: str) -> None:
        steps = self.recipe.progress
        if steps and re.search(steps.pattern, line):
            self.done = min(self.done + 1, steps.total)
            self.report(self.done, steps.total, steps.unit, self.recipe.title)

    def finish(self) -> None:
        steps = self.recipe.progress
        if steps:
            self.report(steps.total, steps.total, steps.unit, self.recipe.title)


def image_digest(archive: Path) -> str:
    """The digest of the one manifest in an OCI archive: what containerd calls the image's digest."""
    with tarfile.open(archive) as tar:
        digests = {row["digest"] for row in _index(tar)["manifests"]}
    if len(digests) != 1:
        raise ValueError(f"{archive} has {len(digests)} manifests")
    return str(digests.pop())


def name_also(archive: Path, aliases: Sequence[str]) -> None:
    """Give the one image of an OCI archive more names: further rows of its index, no further bytes."""
    beside = archive.with_suffix(".named")
    with tarfile.open(archive) as old, tarfile.open(beside, "w") as new:
        index = _index(old)
        (row,) = index["manifests"]
        index["manifests"] += [row | {"annotations": row["annotations"] | {_NAME: alias}} for alias in aliases]
        for entry in old:
            content = old.extractfile(entry) if entry.isfile() else None
            if entry.name.removeprefix("./") == "index.json":
                text = json.dumps(index).encode()
                entry.size, content = len(text), io.BytesIO(text)
            new.addfile(entry, content)
    beside.rename(archive)


def _index(tar: tarfile.TarFile) -> dict[str, Any]:
    """An OCI archive's index.json."""
    for entry in tar:
        if entry.name.removeprefix("./") == "index.json":
            found = tar.extractfile(entry)
            return dict(json.load(found)) if found else {}
    raise ValueError("an OCI archive has an index.json")


def _move(source: Path, target: Path) -> Path:
    """Rename, or copy where the cache is another file system."""
    import shutil

    return Path(shutil.move(source, target))
