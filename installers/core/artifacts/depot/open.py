"""Opening a depot: who signed it, whether that is trusted and new enough, what it is for; unpacked if it is a file.

What was opened is remembered below the cache, small files and all of a packed one, so that a plan can be made
after the stick is out. A depot that was accepted on this host before is believed by what was kept then.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat as stat_
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from installers.core.artifacts.cache import Cache, digest, slug
from installers.core.artifacts.depot.contents import (
    APT,
    FILE,
    LEDGER,
    LIMIT,
    METADATA,
    Contents,
    For,
    Target,
    parse_contents,
    require_match,
)
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.depot.trust import Trust, fingerprint, kept_targets, parse_fingerprint, seen_in
from installers.core.artifacts.disk import remove, write_whole
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, parse_built
from installers.core.facts.packages import Repository
from installers.site import Paths

if TYPE_CHECKING:
    from tuf.ngclient.fetcher import FetcherInterface

    from installers.core.artifacts.depot.remote import Remote

_MARGIN = 64 << 20
_SMALL = (f"{LEDGER}/", f"{APT}/Packages", f"{APT}/Release")
_PREFIX = "depot:/"
PREFIXES = ("http://", "https://")


def nothing(done: int, total: int, unit: str, text: str = "") -> None:
    """A report nobody reads."""


@dataclass(frozen=True, slots=True)
class Depot:
    """An opened depot. ``place``: what the user named; ``folder``: where its files lie; ``own``: what we keep of it.

    ``expires``: until when it can be taken up for the first time, ISO 8601. ``seen``: what the verification
    saw, to be kept when the depot is accepted; None when it was already. ``web``: the addresses that files
    are fetched from into the folder when they are wanted, () where all of them are there.
    """

    place: str
    folder: Path
    own: Path
    fingerprint: str
    contents: Contents
    targets: Mapping[str, Target] = field(hash=False, repr=False)
    expires: str
    seen: Mapping[str, str] | None = field(default=None, hash=False, repr=False)
    web: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.own.name

    def target(self, path: str) -> Target | None:
        return self.targets.get(path)

    def built(self, recipe: str, key: str) -> Built | None:
        """What its ledger says of a build, None when it has none of that key."""
        found = self.targets.get(f"{LEDGER}/{slug(recipe)}-{key[:16]}.json")
        if found is None:
            return None
        row = parse_built(self.small(found).decode())
        return row if row.key == key else None

    def archives(self) -> Mapping[tuple[str, str], Target]:
        """The files of its Debian packages by name and version, as its index has them."""
        packages = self.targets.get(f"{APT}/Packages")
        stanzas = re.split(r"\n\s*\n", self.small(packages).decode()) if packages else ()
        found = {}
        for row in (dict(_FIELD.findall(stanza)) for stanza in stanzas):
            target = self.targets.get(f"{APT}/{row.get('Filename', '').removeprefix('./')}")
            if target:
                found[row["Package"], row["Version"]] = target
        return found

    def small(self, target: Target) -> bytes:
        """One of the files kept with what we keep of it, compared with its digest. ``OLR-BND-009``."""
        return _checked(self.own / target.path, target, place=self.place)

    def repository(self) -> Repository | None:
        """Its Debian packages as apt can take them, None when it has none."""
        packages, release = self.targets.get(f"{APT}/Packages"), self.targets.get(f"{APT}/Release")
        if packages is None or release is None:
            return None
        # apt names its lists by the place they came from: another place, other lists.
        place = hashlib.sha256(f"{self.id} {self.folder}".encode()).hexdigest()[:32]
        lists = str(self.own.parents[1] / "apt/flat" / place)
        sources = str(self.own / "sources.list")
        return Repository(str(self.folder / APT), sources, lists, packages.sha256, release.sha256)


_FIELD = re.compile(r"^(Package|Version|Filename): *(.*?) *$", re.MULTILINE)


def open_depot(place: str, paths: Paths, host: For, *, trust: str = "", report: Report = nothing) -> Depot:
    """A depot that is signed by somebody trusted, not older than one seen before, and for such a host.

    ``place``: a directory or a ``.tar.zst``. ``trust``: the fingerprint the user gives, "" for those kept.
    Nothing is written but below the cache; ``accept`` keeps the trust. Raises OLR-BND-001 to 012.
    """
    given = parse_fingerprint(trust) if trust else ""
    cache = Cache(Path(paths.cache), Path(paths.built))
    with _head(place, cache) as head:
        depot = _verified(place, head, given, Path(paths.state), cache)
        require_match(depot.contents, host, place=place)
        if head != depot.own:
            _lay(depot, lambda scratch, told: _unpacked(depot, head, cache, scratch, told), cache, report)
    return depot


def open_web(places: tuple[str, ...], paths: Paths, host: For, *, trust: str = "", report: Report = nothing) -> Depot:
    """The same for a depot on web servers, all of which carry it; its other files are fetched when they are wanted."""
    from installers.core.artifacts.depot.remote import reached

    given = parse_fingerprint(trust) if trust else ""
    cache, state = Cache(Path(paths.cache), Path(paths.built)), Path(paths.state)
    with reached(places[0]) as remote:
        depot = replace(_verified_over_http(remote, given, state, cache), web=places, place=named(places))
        require_match(depot.contents, host, place=depot.place)

        def fill(scratch: Path, told: Report) -> None:
            for target in _small_of(depot):
                (scratch / target.path).parent.mkdir(parents=True, exist_ok=True)
                (scratch / target.path).write_bytes(remote.read(target))

        _lay(depot, fill, cache, report)
    return depot


def kept_web(publisher: str, places: tuple[str, ...], paths: Paths) -> Depot | None:
    """What was accepted here last of a publisher's depot on web servers, as it is kept: nobody is asked.

    None where it is not kept: the cache was emptied, or another depot of theirs was accepted since.
    """
    kept = Trust(Path(paths.state) / "trust").of(publisher)
    stamp, place = _bytes(kept / "timestamp.json"), named(places)
    own = _own_of_web(Cache(Path(paths.cache), Path(paths.built)), stamp)
    if not _remembered(own).get("folder"):
        return None
    checked = _Checked(publisher, stamp, kept_targets(kept, place=place), None)
    contents = _contents(checked, lambda target: _checked(own / target.path, target, place=place), place=place)
    return replace(checked.depot(place, own, own, contents), web=places)


def named(places: tuple[str, ...]) -> str:
    """The addresses of a depot for messages: without the passwords they may carry."""
    from installers.core.artifacts.fetch.mirrors import public

    return ", ".join(public(place) for place in places)


def examine(place: str, paths: Paths, *, trust: str = "") -> Depot:
    """A depot's signatures and what it says of itself; its files are not looked at and nothing is written.

    ``place`` may be the address of one on a web server.
    """
    given, state = parse_fingerprint(trust) if trust else "", Path(paths.state)
    cache = Cache(Path(paths.cache), Path(paths.built))
    if place.startswith(PREFIXES):
        from installers.core.artifacts.depot.remote import reached

        with reached(place) as remote:
            return _verified_over_http(remote, given, state, cache)
    with _head(place, cache) as head:
        return _verified(place, head, given, state, cache)


def claimed(place: str, paths: Paths) -> str:
    """The fingerprint of the publisher a depot says it is of: to be asked about, not to be believed."""
    if place.startswith(PREFIXES):
        from installers.core.artifacts.depot import client
        from installers.core.artifacts.depot.remote import reached

        with reached(place) as remote:
            fetcher = client.HttpFetcher(remote.line)
            return fingerprint(client.document(fetcher, f"{remote.metadata}1.root.json", place=place))
    with _head(place, Cache(Path(paths.cache), Path(paths.built))) as head:
        return fingerprint(_document(head, "1.root.json", place=place))


def accept(depot: Depot, paths: Paths) -> None:
    """Trust this depot's publisher from now on, and nothing older of theirs; other opened depots of theirs go."""
    if depot.seen is not None:
        Trust(Path(paths.state) / "trust").keep(depot.fingerprint, depot.seen)
    for other in depot.own.parent.iterdir():
        row = _remembered(other)
        if other != depot.own and row.get("fingerprint") == depot.fingerprint:
            remove(other)


@contextmanager
def _head(place: str, cache: Cache) -> Iterator[Path]:
    """A directory with a depot's metadata and contents.json."""
    path = Path(place)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        # Taken out since: what was kept of it is enough to look, and for a packed one to install.
        for own in sorted((cache.root / "bundles").glob("*")):
            if _remembered(own).get("place") == place:
                yield own
                return
        raise Refused("OLR-BND-001", place=place) from error
    if stat_.S_ISDIR(mode):
        yield path
        return
    if not stat_.S_ISREG(mode):
        raise Refused("OLR-BND-002", place=place, reason="it is neither a directory nor a file")
    from installers.core.artifacts.depot.unpack import head

    with tempfile.TemporaryDirectory(prefix="olares-bundle-") as scratch:
        head(path, Path(scratch))
        yield Path(scratch)


def _verified(place: str, head: Path, given: str, state: Path, cache: Cache) -> Depot:
    def fetcher() -> tuple[FetcherInterface, str]:
        from installers.core.artifacts.depot.client import FileFetcher

        return FileFetcher(head / METADATA, _PREFIX), _PREFIX

    checked = _signatures(place, lambda name: _document(head, name, place=place), fetcher, given, state)
    contents = _contents(checked, lambda target: _checked(head / target.path, target, place=place), place=place)
    own = cache.root / "bundles" / hashlib.sha256(checked.stamp).hexdigest()[:32]
    folders = {own: Path(_remembered(own).get("folder", own)), Path(place): head}
    return checked.depot(place, folders.get(head, own), own, contents)


def _verified_over_http(remote: Remote, given: str, state: Path, cache: Cache) -> Depot:
    from installers.core.artifacts.depot.client import HttpFetcher, document

    place, fetcher = remote.named, HttpFetcher(remote.line)

    def read(name: str) -> bytes:
        return document(fetcher, f"{remote.metadata}{name}", place=place)

    checked = _signatures(place, read, lambda: (fetcher, remote.metadata), given, state)
    own = _own_of_web(cache, checked.stamp)
    return checked.depot(place, own, own, _contents(checked, remote.read, place=place))


def _own_of_web(cache: Cache, stamp: bytes) -> Path:
    """Apart from what is kept of the same depot on a stick: of that one everything is there, or nothing large."""
    return cache.root / "bundles" / hashlib.sha256(b"web " + stamp).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Checked:
    """Metadata that is right: who signed what, and what was seen for it."""

    publisher: str
    stamp: bytes
    targets: Mapping[str, Target]
    seen: Mapping[str, str] | None

    def depot(self, place: str, folder: Path, own: Path, contents: Contents) -> Depot:
        expires = str(json.loads(self.stamp)["signed"]["expires"])
        return Depot(place, folder, own, self.publisher, contents, self.targets, expires, self.seen)


def _signatures(
    place: str,
    read: Callable[[str], bytes],
    fetcher: Callable[[], tuple[FetcherInterface, str]],
    given: str,
    state: Path,
) -> _Checked:
    trust = Trust(state / "trust")
    root = read("1.root.json")
    publisher = fingerprint(root)
    trust.require(publisher, given=given, place=place)
    stamp, kept = read("timestamp.json"), trust.of(publisher)
    if stamp == _bytes(kept / "timestamp.json"):
        # The very one accepted here before: what was verified then is in a place only root can write.
        return _Checked(publisher, stamp, kept_targets(kept, place=place), None)
    from installers.core.artifacts.depot import client

    with tempfile.TemporaryDirectory(prefix="olares-trust-") as scratch:
        work = trust.copy(publisher, Path(scratch))
        source, base = fetcher()
        targets = client.targets(source, base, root=root, kept=work, place=place)
        seen = seen_in(work)
    return _Checked(publisher, seen["timestamp.json"].encode(), targets, seen)


def _document(head: Path, name: str, *, place: str) -> bytes:
    """One metadata file as it is there, unverified. ``OLR-BND-002`` where there is none, or one without end."""
    path = head / METADATA / name
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LIMIT:
        raise Refused("OLR-BND-002", place=place, reason=f"it has no {METADATA}/{name} that could be one")
    return path.read_bytes()


def _contents(checked: _Checked, read: Callable[[Target], bytes], *, place: str) -> Contents:
    if FILE not in checked.targets:
        raise Refused("OLR-BND-010", place=place, missing=FILE, count=1)
    return parse_contents(read(checked.targets[FILE]), place=place)


def _lay(depot: Depot, fill: Callable[[Path, Report], None], cache: Cache, report: Report) -> None:
    """What we keep of a depot, in its place. ``fill`` puts the signed files that are kept into an empty directory."""
    # Of several addresses not all answer each time: what is kept is found by who signed it.
    place = "" if depot.web else depot.place
    row = {"place": place, "folder": str(depot.folder), "fingerprint": depot.fingerprint}
    apt = quote(str(depot.folder / APT), safe="/")
    sources = f"deb [trusted=yes] copy:{apt} ./\n"
    if _remembered(depot.own) == row and _bytes(depot.own / "sources.list") == sources.encode():
        return
    with _writing(depot.place):
        if not (depot.own / "place.json").is_file():
            with cache.lock(f"bundle-{depot.id}", report) as told:
                if not (depot.own / "place.json").is_file():
                    _filled(depot, fill, cache, told)
        write_whole(depot.own / "sources.list", sources, mode=0o644)
        write_whole(depot.own / "place.json", json.dumps(row), mode=0o644)


def _filled(depot: Depot, fill: Callable[[Path, Report], None], cache: Cache, report: Report) -> None:
    scratch = cache.temporary(f"bundle-{depot.id}")
    try:
        fill(scratch, report)
        (scratch / "place.json").write_text("{}")
        scratch.chmod(0o755)
        remove(depot.own)
        cache.place(scratch, f"bundles/{depot.id}")
    finally:
        remove(scratch)


def _unpacked(depot: Depot, head: Path, cache: Cache, scratch: Path, report: Report) -> None:
    """Everything of a packed depot, the small files of a directory, and its metadata."""
    if depot.folder == depot.own:
        from installers.core.artifacts.depot.unpack import unpack

        cache.reserve(sum(target.size for target in depot.targets.values()) + _MARGIN, where=cache.root)
        unpack(Path(depot.place), depot.targets, scratch, report)
    else:
        for target in _small_of(depot):
            _copy_small(head, scratch, target, place=depot.place)
    (scratch / METADATA).mkdir()
    for path in sorted((head / METADATA).glob("*.json")):
        (scratch / METADATA / path.name).write_bytes(path.read_bytes())


def _small_of(depot: Depot) -> Iterator[Target]:
    return (one for one in depot.targets.values() if one.path == FILE or one.path.startswith(_SMALL))


def _copy_small(head: Path, to: Path, target: Target, *, place: str) -> None:
    content = _checked(head / target.path, target, place=place)
    (to / target.path).parent.mkdir(parents=True, exist_ok=True)
    (to / target.path).write_bytes(content)


def check_files(depot: Depot, report: Report) -> None:
    """Compare every file with its digest, reading all of it; nothing is written. OLR-BND-002, 008, 009, 010."""
    if depot.place.startswith(PREFIXES):
        from installers.core.artifacts.depot.remote import check_all

        check_all(depot.place, depot.targets.values(), report)
        return
    if Path(depot.place).is_file():
        from installers.core.artifacts.depot.unpack import check

        check(Path(depot.place), depot.targets, report)
        return
    total, done = sum(target.size for target in depot.targets.values()), 0
    for target in depot.targets.values():
        path = depot.folder / target.path
        if not path.is_file() or path.is_symlink():
            raise Refused("OLR-BND-010", place=depot.place, missing=target.path, count=1)
        found = digest(path)
        if found != target.sha256 or path.stat().st_size != target.size:
            raise Refused("OLR-BND-009", place=depot.place, file=target.path, found=found)
        done += target.size
        report(done, total, "bytes", f"checking {target.path}")


def _checked(path: Path, target: Target, *, place: str) -> bytes:
    """A small file as the signatures have it."""
    if path.is_symlink() or not path.is_file():
        raise Refused("OLR-BND-010", place=place, missing=target.path, count=1)
    with path.open("rb") as file:
        content = file.read(target.size + 1)
    found = hashlib.sha256(content).hexdigest()
    if found != target.sha256 or len(content) != target.size:
        raise Refused("OLR-BND-009", place=place, file=target.path, found=found)
    return content


def _remembered(own: Path) -> Mapping[str, str]:
    with suppress(OSError, ValueError):
        row = json.loads((own / "place.json").read_bytes())
        return row if isinstance(row, dict) else {}
    return {}


def _bytes(path: Path) -> bytes:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


@contextmanager
def _writing(place: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise Failure("OLR-BND-019", place=place) from error
