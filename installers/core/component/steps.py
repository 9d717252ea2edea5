"""From components to steps: what each one wants, in its place, with everything it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from installers.core.artifacts.index import Pinned, index
from installers.core.artifacts.oci.planned import served
from installers.core.artifacts.recipes import Planned
from installers.core.artifacts.releases import released
from installers.core.artifacts.upstream import upstream
from installers.core.component.load import Component
from installers.core.component.values import Platform, Values
from installers.core.errors import Failure
from installers.core.facts.objects import ref_of
from installers.core.facts.programs import Need
from installers.core.model import Resource, Step
from installers.core.resources.artifacts import Binary, Built, Fetched
from installers.core.resources.base import BaseResource
from installers.core.resources.objects import Objects
from installers.core.resources.packages import Packages, Provides, merged
from installers.core.resources.programs import Programs
from installers.core.resources.recipes import BuiltImage, OnlyFor
from installers.core.resources.secrets import GeneratedSecret
from installers.core.resources.wait import Rollout
from installers.site import Site

ARTIFACTS = "artifacts"
"""The phase of downloads and builds, which run beside all others."""

TOOLS = ("buildah", "mmdebstrap")
"""Debian packages that recipes are made with."""

RUNTIME = "containerd"
"""The component images are imported into."""

NETWORK = "calico"
"""The component that gives pods their addresses."""

HOST = "host"
"""The component that makes the host fit. Where that takes a restart, nothing else has begun before it."""

BUILD_TOOLS = Packages(*TOOLS).key


@dataclass(frozen=True, slots=True)
class Wanted:
    """A component and the phase it belongs to."""

    component: Component
    phase: str


def build_steps(wanted: Sequence[Wanted], site: Site, platform: Platform) -> list[Step]:
    """Steps of all components: downloads and builds first and free, packages once per phase, then each in order.

    Inside a component: secrets, images, what ``install.py`` yields, manifests, rollouts. Across
    components: everything of one comes after the last step of those it requires.
    """
    _check_requires(wanted)
    published = {one.component.name: one.component.manifest.publishes for one in wanted}
    opens = tuple(sorted({port for one in wanted for port in one.component.manifest.opens}))
    recipes, releases = _Recipes(site, platform), _Releases(site, platform)
    images = _served(wanted, site, recipes)
    taken = _Taken(recipes, releases, images)
    chains = [(one, list(_resources(one.component, site, taken, published, opens))) for one in wanted]
    packages = _packages(chains)
    binaries = [resource for _, chain in chains for resource in chain if isinstance(resource, Binary)]
    steps: list[Step] = [*recipes.steps(site, binaries), *releases.steps(binaries), *packages.steps]
    ends: dict[str, frozenset[str]] = {}
    imported: list[str] = []
    brought = _brought(wanted)
    for one, chain in chains:
        before = frozenset().union(*(ends[brought.get(name, name)] for name in one.component.requires))
        before |= packages.key_of.get(one.phase, frozenset())
        steps += _chain(one, chain, before, ends, imported)
    return [_after_host(step, ends.get(HOST, frozenset())) for step in steps]


def _after_host(step: Step, end: frozenset[str]) -> Step:
    """Downloads and builds touch nothing but the cache and need not wait."""
    return step if step.background or step.component == HOST else replace(step, after=step.after | end)


def _brought(wanted: Sequence[Wanted]) -> dict[str, str]:
    """The component a system comes inside of, for those that bring others along."""
    return {name: one.component.name for one in wanted for name in one.component.manifest.includes}


def _check_requires(wanted: Sequence[Wanted]) -> None:
    """Requirements are chosen too, and earlier: what was left out is refused, with all that cannot be without it."""
    here, gone = set[str](), set[str]()
    lacking: dict[str, None] = {}
    without: list[str] = []
    for one in wanted:
        missing = [name for name in one.component.requires if name not in here]
        (gone if missing else here).update((one.component.name, *one.component.manifest.includes))
        if missing:
            without.append(one.component.name)
            lacking |= dict.fromkeys(name for name in missing if name not in gone)
    if set(lacking) == {NETWORK}:
        raise Failure("OLR-PLAN-008", components=", ".join(without))
    if lacking:
        raise Failure("OLR-PLAN-001", components=", ".join(without), missing=", ".join(lacking))


class _Recipes:
    """Everything to be built, each recipe once, however many components use it."""

    def __init__(self, site: Site, platform: Platform) -> None:
        self.platform = platform
        self.index = index(site.index)
        self._planned: dict[str, tuple[Planned, str]] = {}

    def of(self, component: Component, name: str) -> Planned:
        planned = component.recipe(name, release=self.platform.release, arch=self.platform.arch, among=self.index)
        self._planned.setdefault(planned.name, (planned, component.name))
        return planned

    def served(self, component: Component, reference: str, digest: str) -> Planned:
        """An image of a registry, whose archive comes out of a bundle."""
        planned = served(reference, digest, self.platform.arch)
        self._planned.setdefault(planned.name, (planned, component.name))
        return planned

    def steps(self, site: Site, binaries: Sequence[Binary]) -> list[Step]:
        """Background steps: tools, downloads, inputs, recipes. Nothing else holds them up.

        ``binaries``: programs on the host, which make a build's files needless while they are in place.
        """
        rows = [(self._built(planned, site, binaries), owner) for planned, owner in self._planned.values()]
        builds = tuple(built for built, _ in rows)
        if not builds:
            # Nothing is built from releases, and a host that takes them need not be a Debian.
            return []
        steps = [Step(OnlyFor(Packages(*TOOLS), builds), "packages", ARTIFACTS)]
        for built, owner in rows:
            for resource in (*self._inputs(built, builds, site), built):
                if all(step.resource.key != resource.key for step in steps):
                    steps.append(Step(resource, owner, ARTIFACTS, _made_of(resource, site), background=True))
        return steps

    def _built(self, planned: Planned, site: Site, binaries: Sequence[Binary]) -> Built:
        installed = tuple((one.path, one.name) for one in binaries if one.source == planned)
        return Built(planned, site.paths, installed)

    def _inputs(self, built: Built, builds: tuple[Built, ...], site: Site) -> Iterator[BaseResource]:
        """What a recipe is made of, deepest first, each only as long as something is to be built from it."""

        def users(name: str) -> tuple[Built, ...]:
            return tuple(one for one in builds if name in _closure(one.planned))

        for used in built.planned.uses:
            if used.name not in self._planned:
                inner = Built(used, site.paths)
                yield from self._inputs(inner, builds, site)
                yield OnlyFor(inner, users(used.name))
        for pin in built.planned.pins:
            yield OnlyFor(Fetched(pin, site.paths), users(built.planned.name))


class _Releases:
    """Files of upstream releases, each fetched once, however many components use it."""

    def __init__(self, site: Site, platform: Platform) -> None:
        self.site = site
        self.arch = platform.arch
        self._pins: dict[str, tuple[Pinned, str]] = {}

    def of(self, component: Component) -> dict[str, Pinned]:
        vouched = dict(self.site.pins)
        known = upstream(self.site.index)
        pins = {
            name: released(name, arch=self.arch, vouched=vouched, among=known) for name in component.edition.releases
        }
        for name, pin in pins.items():
            self._pins.setdefault(name, (pin, component.name))
        return pins

    def steps(self, binaries: Sequence[Binary]) -> list[Step]:
        """A background step for each that something here is made of; nothing holds it up."""
        found = []
        for pin, owner in self._pins.values():
            installed = tuple((one.path, one.name) for one in binaries if one.source == pin)
            if installed:
                fetched = Fetched(pin, self.site.paths, installed, self.site.places)
                found.append(Step(fetched, owner, ARTIFACTS, background=True))
        return found


@dataclass(frozen=True, slots=True)
class _Images:
    """Images of registries as a bundle has them, by component; nothing of it where a runtime pulls them itself.

    ``imported``: the host's containerd takes them; else they are archives for a runtime that reads a directory.
    """

    of: Mapping[str, tuple[Planned, ...]]
    imported: bool

    def to_import(self, component: Component) -> tuple[Planned, ...]:
        return self.of.get(component.name, ()) if self.imported else ()

    @property
    def archives(self) -> tuple[Planned, ...]:
        return () if self.imported else tuple(planned for found in self.of.values() for planned in found)


def _served(wanted: Sequence[Wanted], site: Site, recipes: _Recipes) -> _Images:
    vouched = dict(site.images)
    found = {
        one.component.name: tuple(
            recipes.served(one.component, reference, vouched.get(reference, ""))
            for reference in one.component.edition.references.values()
        )
        for one in (wanted if site.signed else ())
    }
    return _Images(found, imported=any(one.component.name == RUNTIME for one in wanted))


@dataclass(frozen=True, slots=True)
class _Taken:
    """Where a component's programs and images come from."""

    recipes: _Recipes
    releases: _Releases
    images: _Images


def _closure(planned: Planned) -> frozenset[str]:
    """The names of a recipe and of all it is made of."""
    return frozenset({planned.name}).union(*(_closure(used) for used in planned.uses))


def _made_of(resource: BaseResource, site: Site) -> frozenset[str]:
    """Keys of the steps a build comes after; a download comes after nothing."""
    inner = resource.resource if isinstance(resource, OnlyFor) else resource
    if not isinstance(inner, Built):
        return frozenset()
    used = (Built(one, site.paths).key for one in inner.planned.uses)
    return frozenset({*used, *(Fetched(pin, site.paths).key for pin in inner.planned.pins), BUILD_TOOLS})


def _resources(
    component: Component,
    site: Site,
    taken: _Taken,
    published: Mapping[str, Mapping[str, str]],
    opens: tuple[int, ...],
) -> Iterator[Resource]:
    """A component's own chain."""
    manifest, edition, recipes = component.manifest, component.edition, taken.recipes
    builds = {name: recipes.of(component, name) for name in edition.builds}
    images = {name: recipes.of(component, name) for name in edition.images}
    assembled = {name.rpartition("/")[2]: planned.recipe.reference for name, planned in images.items()}
    values = Values(
        platform=recipes.platform,
        images=edition.references | assembled,
        builds=builds,
        releases=taken.releases.of(component),
        archives=taken.images.archives,
        published=published,
        opens=opens,
    )
    if edition.programs:
        needs = (Need(name, tuple(sorted(packages.items()))) for name, packages in edition.programs.items())
        yield Programs(component.name, tuple(needs))
    for secret in manifest.secrets:
        yield GeneratedSecret(secret.name, secret.length, secret.keep)
    imported = (*images.values(), *taken.images.to_import(component))
    yield from (BuiltImage(planned, site.paths) for planned in imported if component.name != RUNTIME)
    for resource in component.resources(site, values):
        yield _providing(resource, component) if isinstance(resource, Packages) else resource
    # The runtime's own, once it runs.
    yield from (BuiltImage(planned, site.paths) for planned in imported if component.name == RUNTIME)
    if component.manifests:
        yield Objects(component.name, tuple(_rendered(component, site, values)))
    for rollout in (*manifest.health.rollouts, *edition.health.rollouts):
        workload = f"apps/v1/{rollout.kind}/{rollout.namespace}/{rollout.name}"
        yield Rollout(ref_of(workload), deadline=rollout.deadline)


def _providing(packages: Packages, component: Component) -> Packages:
    provides = component.edition.provides
    rows = [provides[name] for name in packages.names if name in provides]
    return packages.providing(
        Provides(
            units=tuple(unit for row in rows for unit in row.units),
            users=tuple(user for row in rows for user in row.users),
            groups=tuple(group for row in rows for group in row.groups),
        )
    )


@lru_cache(maxsize=256)
def _template(text: str) -> Any:
    """Read once: a status, a plan and an install each render every manifest."""
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701
    return environment.from_string(text)


def _rendered(component: Component, site: Site, values: Values) -> Iterator[str]:
    """The manifests as text, with references where secrets go."""
    for _, text in component.manifests:
        yield _template(text).render(
            site=site,
            images=values.images,
            published=values.published,
            edition=site.edition,
            # What was assembled here can come from nowhere else.
            pull="Never" if component.edition.images else "IfNotPresent",
            file=component.text,
            own=component.manifest.publishes,
            secret=values.secret,
        )


@dataclass(frozen=True, slots=True)
class _PhasePackages:
    steps: tuple[Step, ...]
    key_of: Mapping[str, frozenset[str]]


def _packages(chains: list[tuple[Wanted, list[Resource]]]) -> _PhasePackages:
    """Take the packages out of the chains: one apt transaction per phase, in the order of the phases."""
    steps: list[Step] = []
    key_of: dict[str, frozenset[str]] = {}
    before: frozenset[str] = frozenset()
    claimed: set[str] = set()
    for phase in dict.fromkeys(one.phase for one, _ in chains):
        found: list[Packages] = []
        for one, chain in chains:
            if one.phase == phase:
                found += [resource for resource in chain if isinstance(resource, Packages)]
                chain[:] = [resource for resource in chain if not isinstance(resource, Packages)]
        # A package that an earlier phase brings has its owner already.
        fresh = [rest for each in found if (rest := _without(each, claimed)) is not None]
        for packages in merged(fresh):
            claimed.update(packages.names)
            steps.append(Step(packages, "packages", phase, before))
            before = frozenset({packages.key})
        key_of[phase] = before
    return _PhasePackages(tuple(steps), key_of)


def _without(packages: Packages, claimed: set[str]) -> Packages | None:
    names = [name for name in packages.names if name not in claimed]
    return Packages(*names, release=packages.release or None, provides=packages.provides) if names else None


def _chain(
    one: Wanted,
    chain: Iterable[Resource],
    before: frozenset[str],
    ends: dict[str, frozenset[str]],
    imported: list[str],
) -> Iterator[Step]:
    """One resource after another, each also after what it is made of.

    Images wait for the runtime alone, and for each other in the order they are needed: importing takes
    cores, and the control plane's must not queue behind those of the last phase.
    """
    last, images = before, frozenset[str]()
    for resource in chain:
        made_of = frozenset(getattr(resource, "made_of", ()))
        if isinstance(resource, BuiltImage):
            after = ends.get(RUNTIME, last) | made_of | frozenset(imported[-1:])
            yield Step(resource, one.component.name, one.phase, after)
            imported.append(resource.key)
            images |= {resource.key}
            continue
        yield Step(resource, one.component.name, one.phase, last | made_of | images)
        last, images = frozenset({resource.key}), frozenset()
    ends[one.component.name] = last | images
