"""Files of upstream releases into the cache, from the project's own site or from a mirror."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlsplit

from installers.core.actions.files import PIECE
from installers.core.artifacts.cache import MARGIN, Cache, Record
from installers.core.artifacts.fetch import BROKEN, HttpLine, Wanted, fetch
from installers.core.artifacts.fetch.line import length
from installers.core.artifacts.fetch.mirrors import public
from installers.core.artifacts.fetch.proxy import ProxyFault
from installers.core.artifacts.fetch.together import asked_together
from installers.core.artifacts.index import File, Pinned, Registry, architecture
from installers.core.artifacts.report import Report
from installers.core.artifacts.upstream import Upstream, upstream
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, BuiltFile

_PATIENCE, _GRACE = 20.0, 0.5
"""Seconds a place may take to say how large its file is, and what is left of them once another has said it."""

MOST = 4 << 30
"""Bytes a release's file may have at most: what a place says of its size is believed up to this."""


def released(
    name: str,
    *,
    arch: str = "",
    vouched: Mapping[str, str] = MappingProxyType({}),
    among: Upstream | None = None,
) -> Pinned:
    """A release's file for an architecture (default: this machine's) ``among`` those of an index (default: our own).

    ``vouched``: digests a person vouches for, by release-version-architecture: they count where none is pinned.
    ``OLR-ART-015``: there is no such release; ``OLR-ART-001``: not for this architecture.
    """
    arch = arch or architecture()
    known = (among or upstream()).releases
    if name not in known:
        raise Failure("OLR-ART-015", release=name, known=", ".join(known))
    release = known[name]
    if arch not in release.files:
        raise Failure("OLR-ART-001", artifact=name, arch=arch)
    digest = release.files[arch].sha256 or vouched.get(f"{name}-{release.version}-{arch}", "")
    file = File(release.name(arch), 0, digest)
    return Pinned(name, Registry.RELEASE, name, release.version, file, release.url(arch))


def record_name(name: str) -> str:
    """Under which a release's contents stand in the ledger."""
    return f"release/{name}"


def fetched_release(pin: Pinned, *, places: Iterable[str], cache: Cache, report: Report) -> Path:
    """A release's file in the cache and its members in the ledger. ``places``: of a mirror, else the project's own."""
    path = cache.root / pin.entry
    record = Record(path, pin.file.sha256, 0)
    with cache.lock(pin.entry.replace("/", "-"), report) as told:
        if not cache.sound(record.path, (record,), told, name=pin.name):
            _fetch(pin, urls_of(pin, places), cache, told)
        note_members(pin.name, pin.file.sha256, path, cache)
        return path


def note_members(name: str, sha256: str, path: Path, cache: Cache) -> None:
    """Write into the ledger what is in a verified release's file, unless it stands there."""
    if cache.recorded(record_name(name), sha256) is None:
        cache.record(Built(record_name(name), sha256, members(path), 0.0, time.time()))


def urls_of(pin: Pinned, places: Iterable[str]) -> tuple[str, ...]:
    """Where a release's file is fetched from: the mirror's places by the cache's names, else its project's own site."""
    return tuple(f"{place.rstrip('/')}/{quote(pin.entry)}" for place in places) or (pin.url,)


def require_reach(pins: Iterable[Pinned], *, places: tuple[str, ...], seconds: float = 10.0) -> None:
    """Ask every site once whether it answers at all, before anything is changed; ``OLR-ART-019`` when one does not.

    One file a site stands for all it has there. ``seconds``: of silence before a site counts as out of reach.
    """
    of_site: dict[str, Pinned] = {}
    for pin in pins:
        of_site.setdefault(urlsplit(urls_of(pin, places)[0]).netloc, pin)
    with ThreadPoolExecutor(max(1, len(of_site)), thread_name_prefix="reach") as pool:
        for failure in pool.map(lambda pin: _silence(pin, urls_of(pin, places), seconds), of_site.values()):
            if failure:
                raise failure


def _silence(pin: Pinned, urls: Iterable[str], seconds: float) -> Failure | None:
    """Why none of these places answers, None as soon as one does."""
    answers = _lengths(urls, seconds, grace=0.0)
    errors = {url: answer for url, answer in answers.items() if isinstance(answer, Exception)}
    return _out_of_reach(pin, errors) if len(errors) == len(answers) else None


def _lengths(urls: Iterable[str], seconds: float, *, grace: float) -> Mapping[str, int | Exception]:
    """How many bytes each place says its file has, or why it does not; all are asked at once."""

    def ask(url: str) -> int | Exception:
        with closing(HttpLine(patience=seconds, connect=seconds)) as line:
            try:
                return length(line, url)
            except (*BROKEN, ProxyFault, ValueError) as error:
                return error

    return asked_together(urls, ask, good=lambda answer: isinstance(answer, int), grace=grace)


def _out_of_reach(pin: Pinned, errors: Mapping[str, Exception]) -> Failure:
    """Of no place that answered: the proxy's fault where all are its, else each place with its reason."""
    faults = [error for error in errors.values() if isinstance(error, ProxyFault)]
    if faults and len(faults) == len(errors):
        return faults[0]
    told = (f"{public(url)}: {error.what if isinstance(error, ProxyFault) else error}" for url, error in errors.items())
    return Failure("OLR-ART-019", artifact=pin.name, reason="; ".join(told))


def _fetch(pin: Pinned, urls: tuple[str, ...], cache: Cache, report: Report) -> None:
    """From all places that agree on a size; of several sizes only one can give the digest."""
    answers = _lengths(urls, _PATIENCE, grace=_GRACE)
    sizes: dict[int, list[str]] = {}
    for url, answer in answers.items():
        if isinstance(answer, int):
            sizes.setdefault(answer, []).append(url)
    if not sizes:
        errors = {url: answer for url, answer in answers.items() if isinstance(answer, Exception)}
        raise _out_of_reach(pin, errors)
    # One that has not said anything yet may come to it: it is asked beside the others, and held to their size.
    silent = [url for url in urls if url not in answers]
    for number, (size, agreed) in enumerate(sizes.items(), 1):
        if size > MOST:
            raise Failure("OLR-ART-004", artifact=pin.name, reason=f"it is said to have {size} bytes")
        cache.reserve(size + MARGIN, where=cache.root)
        try:
            fetch((*agreed, *silent), Wanted(pin.name, size, pin.file.sha256), to=cache.root / pin.entry, report=report)
        except Failure:
            if number == len(sizes):
                raise
        else:
            return


def members(path: Path) -> tuple[BuiltFile, ...]:
    """The regular files of an archive with their digests; () for a file that is no archive."""
    if not tarfile.is_tarfile(path):
        return ()
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                digest = sha256()
                with content:
                    for piece in iter(partial(content.read, PIECE), b""):
                        digest.update(piece)
                found.append(BuiltFile(member.name.removeprefix("./"), digest.hexdigest(), member.size))
    return tuple(found)
