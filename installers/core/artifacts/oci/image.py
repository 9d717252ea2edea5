"""An image of a registry into the cache: each part by its digest, resumed, and in the end one archive."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from installers.core.artifacts.cache import MARGIN, Cache, Record, digest, verify
from installers.core.artifacts.disk import remove
from installers.core.artifacts.fetch import HttpLine, Limits, Wanted, fetch
from installers.core.artifacts.fetch.line import SEALED
from installers.core.artifacts.oci.archive import index, write
from installers.core.artifacts.oci.ask import Ask, Document
from installers.core.artifacts.oci.documents import (
    INDEXES,
    MANIFESTS,
    Descriptor,
    chosen,
    document,
    media_type,
    parts_of,
    require_platform,
)
from installers.core.artifacts.oci.line import RegistryLine, Tokens
from installers.core.artifacts.oci.places import places_of
from installers.core.artifacts.oci.planned import served
from installers.core.artifacts.recipes import IMAGE
from installers.core.artifacts.reference import parts, pinned_as, without_digest
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, BuiltFile, Held
from installers.site import Registry

PARTS = "parts"
"""Below the cache: manifests, configurations and layers of images that are not whole yet."""

_PLACES_FAULT = frozenset({"OLR-ART-004", "OLR-ART-005", "OLR-ART-006"})
"""What another place may do better."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which image. ``reference``: as components name it; ``digest``: what it names, its own or one vouched for."""

    reference: str
    digest: str
    arch: str
    registries: tuple[Registry, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def name(self) -> str:
        return without_digest(self.reference)


def digest_served(reference: str, registries: Sequence[Registry], *, limits: Limits | None = None) -> str:
    """What a registry serves under a tag just now, ``sha256:…``, asked over TLS alone.

    ``OLR-IMAGE-012``: nobody can be asked so. Else as a manifest is asked for.
    """
    limits = limits or Limits()
    places, ca = places_of(parts(reference), registries)
    sealed = tuple(one for one in places if one.sealed)
    if not sealed:
        raise Failure("OLR-IMAGE-012", image=reference, places=", ".join(one.name for one in places))
    out = HttpLine(patience=limits.stall, connect=limits.connect, ca=ca, follows=SEALED)
    with closing(RegistryLine(Tokens(sealed), out)) as line:
        return Ask(reference, line, limits).manifest(sealed, parts(reference).tag).digest


def fetched_image(order: Order, *, cache: Cache, report: Report) -> Built:
    """The image's archive in the cache and its row in the ledger; made anew where it is not what is recorded.

    Raises OLR-IMAGE-004 to 011, and what fetching raises: OLR-ART-002, 004, 005, 006, 030, OLR-PROXY.
    """
    planned = served(order.reference, order.digest, order.arch)
    with cache.lock(f"built-{planned.key[:16]}", report) as told:
        record, folder = cache.recorded(planned.name, planned.key), cache.folder(planned.name, planned.key)
        if record and cache.sound(cache.root / folder, cache.files(record), told, name=order.name):
            return record
        began = time.time()
        fetching = _Fetching(order, cache, told)
        found = fetching.parts()
        scratch = cache.temporary(f"image-{planned.key[:16]}")
        try:
            names = (planned.recipe.reference, *planned.recipe.aliases)
            write(scratch / IMAGE, index(found[0][0], order.arch, names), ((one.sha256, path) for one, path in found))
            made, size = digest(scratch / IMAGE), (scratch / IMAGE).stat().st_size
            files = (BuiltFile(IMAGE, made, size, found[0][0].digest),)
            built = Built(planned.name, planned.key, files, time.time() - began, time.time())
            # First, as a build does: no entry is ever unknown.
            cache.record(built)
            cache.place(scratch, folder)
        finally:
            remove(scratch)
        remove(fetching.folder)
        return built


class _Fetching:
    """The parts of one image on their way into the cache."""

    def __init__(self, order: Order, cache: Cache, report: Report) -> None:
        self._order, self._cache, self._report = order, cache, report
        self._places, self._ca = places_of(parts(order.reference), order.registries)
        self._tokens = Tokens(self._places)
        self.folder = cache.root / PARTS / served(order.reference, order.digest, order.arch).key[:16]

    def parts(self) -> list[tuple[Descriptor, Path]]:
        """Manifest, configuration and layers with where they lie, in this order; the manifest is the architecture's."""
        order = self._order
        with closing(self._new_line()) as line:
            content, manifest = self._manifest(Ask(order.name, line, order.limits))
        config, layers = parts_of(document(content, image=order.name), image=order.name)
        lacking = sum(one.size for one in (config, *layers))
        # Once as parts and once in the archive.
        self._cache.reserve(2 * lacking + MARGIN, where=self._cache.root)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / manifest.sha256
        path.write_bytes(content)
        found = [(manifest, path)]
        done = 0
        for one in (config, *layers):
            found.append((one, self._blob(one, _Share(self._report, done, lacking, order.name))))
            done += one.size
            if one is config:
                require_platform(found[-1][1].read_bytes(), order.arch, image=order.name)
        return found

    def _manifest(self, ask: Ask) -> tuple[bytes, Descriptor]:
        order = self._order
        wanted = parts(pinned_as(order.reference, order.digest)).digest
        first = ask.manifest(self._places, wanted, digest=wanted)
        kind = _kind(first, order.name)
        if kind in MANIFESTS:
            return first.content, Descriptor(kind, first.digest, len(first.content))
        if kind not in INDEXES:
            reason = f"it is a {kind or 'thing without a kind'}"
            raise Failure("OLR-IMAGE-011", image=order.name, reason=reason)
        manifest = chosen(document(first.content, image=order.name), order.arch, image=order.name)
        found = ask.manifest(self._places, manifest.digest, digest=manifest.digest)
        if len(found.content) != manifest.size:
            raise Failure("OLR-IMAGE-011", image=order.name, reason="its index names another size")
        return found.content, manifest

    def _blob(self, one: Descriptor, report: Report) -> Path:
        """A part in its place: from all mirrors at once, else from the registry itself, going on where they stopped."""
        path = self.folder / one.sha256
        if verify(Record(path, one.sha256, one.size)) is Held.GOOD:
            return path
        wanted = Wanted(f"{self._order.name} ({one.sha256[:12]})", one.size, one.sha256)
        for places in filter(None, (self._places[:-1], self._places[-1:])):
            urls = tuple(place.blob(one.digest) for place in places)
            try:
                fetch(urls, wanted, to=path, report=report, limits=self._order.limits, lines=self._new_line)
            except Failure as failure:
                if places[-1] is self._places[-1] or failure.id not in _PLACES_FAULT:
                    raise
                report(0, 0, "bytes", failure.what)
            else:
                break
        return path

    def _new_line(self) -> RegistryLine:
        limits = self._order.limits
        return RegistryLine(self._tokens, HttpLine(patience=limits.stall, connect=limits.connect, ca=self._ca))


def _kind(found: Document, image: str) -> str:
    return media_type(document(found.content, image=image), found.media_type)


@dataclass(frozen=True, slots=True)
class _Share:
    """Reports one part as a share of all: ``before`` and ``total`` in bytes."""

    report: Report
    before: int
    total: int
    name: str

    def __call__(self, done: int, total: int, unit: str, text: str = "") -> None:
        # Without a total it is a remark: what is wrong with which place.
        self.report(self.before + done if total else 0, self.total if total else 0, unit, self.name if total else text)
