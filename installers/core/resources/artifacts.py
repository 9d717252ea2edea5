"""Fetched packages and built recipes in the cache, and programs on the host out of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installers.core.artifacts.actions import BuildRecipe, FetchArtifact, InstallBinary
from installers.core.artifacts.cache import Cache
from installers.core.artifacts.index import Pinned, Registry, architecture
from installers.core.artifacts.recipes import Planned
from installers.core.artifacts.releases import record_name
from installers.core.facts.artifacts import Built as Record
from installers.core.facts.artifacts import BuiltEntry, BuiltRecord, CacheEntry, Held
from installers.core.facts.files import PathInfo, PathState
from installers.core.facts.images import ContainerImages
from installers.core.model import Action, Blocked, Change, Decision, Deferred, Fact, Facts, May, Satisfied
from installers.core.resources.base import BaseResource
from installers.site import Paths

_WHY = {Held.ABSENT: "not in the cache", Held.DIFFERS: "the cached one is not what was recorded"}


def built_entry(planned: Planned, paths: Paths) -> BuiltEntry:
    """The fact about a recipe's result: its record in the ledger and its folder in the cache."""
    cache = Cache(Path(paths.cache), Path(paths.built))
    folder = cache.root / cache.folder(planned.name, planned.key)
    return BuiltEntry(str(cache.record_path(planned.name, planned.key)), str(folder))


def built_record(planned: Planned, paths: Paths) -> BuiltRecord:
    """The fact about what the ledger says of a recipe."""
    return BuiltRecord(built_entry(planned, paths).record)


def built_path(planned: Planned, paths: Paths, *, file: str) -> str:
    """Where one of a recipe's files lies in the cache once it is built; ``KeyError`` when it makes no such file."""
    if file not in planned.recipe.makes:
        raise KeyError(file)
    return f"{built_entry(planned, paths).folder}/{file}"


def contents(pin: Pinned, paths: Paths) -> BuiltRecord:
    """The fact about what the ledger says is in a release's archive."""
    cache = Cache(Path(paths.cache), Path(paths.built))
    return BuiltRecord(str(cache.record_path(record_name(pin.name), pin.file.sha256)))


@dataclass(frozen=True, slots=True)
class Fetched(BaseResource):
    """A package of the index, or a release's file, in the cache: a background step without predecessors.

    ``installed``: where its programs go (path, member). While all of them are there as they should
    be, the cache may be empty. ``places``: base addresses of a mirror.
    """

    pin: Pinned
    paths: Paths
    installed: tuple[tuple[str, str], ...] = ()
    places: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"fetched:{self.pin.name}"

    @property
    def entry(self) -> CacheEntry:
        return CacheEntry(f"{self.paths.cache}/{self.pin.entry}", self.pin.file.sha256, self.pin.file.size)

    @property
    def _unlisted(self) -> bool:
        """Whether what is in it is known only once it was fetched."""
        return self.pin.registry is Registry.RELEASE and any(member for _, member in self.installed)

    def needs(self) -> tuple[Fact[Any], ...]:
        record = (contents(self.pin, self.paths),) if self._unlisted else ()
        return (*record, self.entry, *(PathInfo(path) for path, _ in self.installed))

    def decide(self, facts: Facts) -> Decision:
        pin, paths = self.pin, self.paths
        if not pin.file.sha256:
            return Blocked("OLR-ART-018", {"release": pin.name, "version": pin.version, "arch": architecture()})
        record = facts[contents(pin, paths)] if self._unlisted else None
        known = record is not None or not self._unlisted
        if known and _in_place(facts, {path: digest_of(pin, name, record) for path, name in self.installed}):
            return Satisfied("installed already")
        state = facts[self.entry]
        if known and state is Held.GOOD:
            return Satisfied("in the cache")
        where = (self.entry.path, paths.cache, paths.state, self.places)
        action = FetchArtifact(pin.name, pin.version, pin.file.sha256, *where)
        why = _WHY.get(state, "what is in it is not recorded")
        return Change((action,), why, {self.entry: Held.GOOD})


def digest_of(pin: Pinned, name: str, record: Record | None) -> str:
    """sha256 of a fetched file's member ("": of the file itself), as the index or the ledger has it; "" if neither."""
    if pin.registry is not Registry.RELEASE:
        return pin.member(name).sha256
    if not name:
        return pin.file.sha256
    return next((file.sha256 for file in record.files if file.name == name), "") if record else ""


@dataclass(frozen=True, slots=True)
class Built(BaseResource):
    """A recipe's result in the cache: a background step after the packages buildah and mmdebstrap.

    It makes what it uses as well, where nobody did. ``installed``: where its files go (path, file).
    While its image is in containerd, or all these files are in place, the cache may be empty.
    """

    planned: Planned
    paths: Paths
    installed: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return f"built:{self.planned.name}"

    @property
    def entry(self) -> BuiltEntry:
        return built_entry(self.planned, self.paths)

    def needs(self) -> tuple[Fact[Any], ...]:
        images: tuple[Fact[Any], ...] = (ContainerImages(),) if self.planned.recipe.reference else ()
        record = built_record(self.planned, self.paths)
        return (record, self.entry, *images, *(PathInfo(path) for path, _ in self.installed))

    def decide(self, facts: Facts) -> Decision:
        # Asked first: it needs no look at the bytes in the cache.
        if self._in_use(facts, facts[built_record(self.planned, self.paths)]):
            return Satisfied("in use already")
        holding = facts[self.entry]
        if holding.held is Held.GOOD:
            return Satisfied("in the cache")
        planned, paths = self.planned, self.paths
        root = str(planned.folder).removesuffix(f"/{planned.name}")
        action = BuildRecipe(planned.name, planned.key, self.entry.folder, paths.cache, paths.state, root)
        # What it will be is not known before it is built: nothing is predicted, what uses it is deferred.
        return Change((action,), _WHY[holding.held] if holding.record else "never built here")

    def _in_use(self, facts: Facts, record: Record | None) -> bool:
        if record is None:
            return False
        if self.installed and _in_place(facts, {path: record.file(name).sha256 for path, name in self.installed}):
            return True
        if reference := self.planned.recipe.reference:
            # Who may not ask containerd can still see whether the cache has it.
            return ContainerImages() in facts and facts[ContainerImages()].get(reference) == record.files[0].image
        return False


@dataclass(frozen=True, slots=True)
class Binary(BaseResource):
    """A program at a path, owned by root: a pinned member of a fetched package, a file a recipe makes, or a
    release's file. ``name``: of the member or file; of a release's archive the path inside, "" for the file itself.
    """

    path: str
    source: Pinned | Planned
    paths: Paths
    name: str = ""
    mode: int = 0o755

    @property
    def key(self) -> str:
        return f"file:{self.path}"

    @property
    def made_of(self) -> tuple[str, ...]:
        """The key of the step that puts its source into the cache."""
        return (f"{'fetched' if isinstance(self.source, Pinned) else 'built'}:{self.source.name}",)

    @property
    def _record(self) -> BuiltRecord | None:
        """Where its digest stands when the index does not have it."""
        if isinstance(self.source, Planned):
            return built_record(self.source, self.paths)
        in_archive = self.source.registry is Registry.RELEASE and self.name
        return contents(self.source, self.paths) if in_archive else None

    def needs(self) -> tuple[Fact[Any], ...]:
        return (PathInfo(self.path), self._record) if self._record else (PathInfo(self.path),)

    def decide(self, facts: Facts) -> Decision:
        record: Record | None = facts[self._record] if self._record else None
        if self._record and record is None:
            what = f"{self.source.recipe.title} is built" if isinstance(self.source, Planned) else self._fetched
            return Deferred(what, (May(InstallBinary.kind, self.path),))
        if isinstance(self.source, Planned):
            path = built_path(self.source, self.paths, file=self.name)
            digest = record.file(self.name).sha256 if record else ""
            return self._compare(facts, InstallBinary(self.path, path, "", digest, self.mode))
        pin = self.source
        if not pin.file.sha256:
            return Deferred(self._fetched, (May(InstallBinary.kind, self.path),))
        inside = self.name if pin.registry is Registry.RELEASE else pin.member(self.name).path
        digest = digest_of(pin, self.name, record)
        if not digest:
            return Blocked("OLR-ART-020", {"release": pin.name, "version": pin.version, "member": inside})
        source = f"{self.paths.cache}/{pin.entry}"
        return self._compare(facts, InstallBinary(self.path, source, inside, digest, self.mode))

    @property
    def _fetched(self) -> str:
        return f"{self.source.name} is fetched"

    def _compare(self, facts: Facts, action: InstallBinary) -> Decision:
        wanted = PathState("file", self.mode, digest=action.sha256)
        present = facts[PathInfo(self.path)]
        if present == wanted:
            return Satisfied("it is the one recorded")
        why = "it is not there" if present is None else "it is another one, or has another owner or mode"
        actions: tuple[Action, ...] = (action,)
        return Change(actions, why, {PathInfo(self.path): wanted})


def _in_place(facts: Facts, wanted: dict[str, str]) -> bool:
    """Whether files (path → sha256) are all there with that content."""
    present = {path: facts[PathInfo(path)] for path in wanted}
    return bool(wanted) and all(state is not None and state.digest == wanted[path] for path, state in present.items())
