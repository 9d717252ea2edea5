"""What would be fetched or built, taken from a depot in its place: no network, no tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from installers.core.artifacts.actions import FetchFromDepot, TakeFromDepot
from installers.core.artifacts.depot.contents import BUILT, Target
from installers.core.artifacts.depot.open import Depot
from installers.core.facts.artifacts import Built as Record
from installers.core.facts.artifacts import Held, Holding
from installers.core.model import Blocked, Change, Decision, Fact, Facts
from installers.core.resources.artifacts import Built, Fetched, built_record
from installers.core.resources.base import Wrapper
from installers.core.resources.packages import Packages
from installers.site import Paths


@dataclass(frozen=True, slots=True)
class Supplied(Wrapper):
    """A download or a build out of a depot, which has ``targets`` and ``record`` of it; () where it has none.

    ``web``: the addresses its files are fetched from first, () where they lie in ``folder``.
    """

    resource: Fetched | Built
    place: str
    folder: str
    targets: tuple[Target, ...]
    record: Record | None = None
    web: tuple[str, ...] = ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return self.resource.needs()

    def decide(self, facts: Facts) -> Decision:
        decision = self.resource.decide(facts)
        if not isinstance(decision, Change):
            return decision
        if not self.targets:
            return Blocked("OLR-BND-014", {"place": self.place, "missing": self.key.partition(":")[2]})
        return Change(self._actions(), f"{decision.why}; {self.place} has it", self._predicts())

    def _actions(self) -> tuple[FetchFromDepot | TakeFromDepot, ...]:
        paths, name = self.resource.paths, self.key.partition(":")[2]
        # A depot's names are the cache's.
        files = tuple((one.path, one.path, one.sha256, one.size) for one in self.targets)
        record = json.dumps(asdict(self.record)) if self.record else ""
        taken = TakeFromDepot(name, self.folder, files, record, paths.cache, paths.state)
        return (fetched(name, self.folder, self.targets, self.web, paths), taken) if self.web else (taken,)

    def _predicts(self) -> dict[Fact[Any], Any]:
        if isinstance(self.resource, Fetched):
            return {self.resource.entry: Held.GOOD}
        record = built_record(self.resource.planned, self.resource.paths)
        return {record: self.record, self.resource.entry: Holding(self.record, Held.GOOD)}


@dataclass(frozen=True, slots=True)
class Brought(Wrapper):
    """Debian packages out of a depot on web servers: those that apt is about to install are fetched first.

    ``archives``: every package of its repository by name and version.
    """

    resource: Packages
    depot: Depot
    paths: Paths
    archives: Mapping[tuple[str, str], Target] = field(hash=False, repr=False)

    def needs(self) -> tuple[Fact[Any], ...]:
        return self.resource.needs()

    def decide(self, facts: Facts) -> Decision:
        decision = self.resource.decide(facts)
        if not isinstance(decision, Change):
            return decision
        todo = facts[self.resource.transaction]
        wanted = (*todo.new, *todo.upgraded)
        missing = [f"{name} {version}" for name, version in wanted if (name, version) not in self.archives]
        if missing:
            return Blocked("OLR-BND-014", {"place": self.depot.place, "missing": ", ".join(missing)})
        targets = tuple(self.archives[one] for one in wanted)
        bring = fetched("packages", str(self.depot.folder), targets, self.depot.web, self.paths)
        return replace(decision, actions=(bring, *decision.actions))


def fetched(name: str, folder: str, targets: Sequence[Target], web: tuple[str, ...], paths: Paths) -> FetchFromDepot:
    files = tuple((one.path, one.sha256, one.size) for one in targets)
    return FetchFromDepot(name, folder, files, web, paths.cache, paths.state)


def supplied(resource: Fetched | Built, depot: Depot) -> Supplied:
    """A download or a build as a depot has it."""
    if isinstance(resource, Fetched):
        target = depot.target(resource.pin.entry)
        right = target is not None and resource.pin.file.sha256 in ("", target.sha256)
        return Supplied(resource, depot.place, str(depot.folder), (target,) if target and right else (), web=depot.web)
    planned = resource.planned
    record = depot.built(planned.name, planned.key)
    folder = resource.entry.folder.rpartition("/")[2]
    targets = tuple(depot.target(f"{BUILT}/{folder}/{name}") for name in planned.recipe.makes)
    found = tuple(target for target in targets if target is not None)
    if record is None or len(found) != len(targets):
        return Supplied(resource, depot.place, str(depot.folder), ())
    return Supplied(resource, depot.place, str(depot.folder), found, record, depot.web)
