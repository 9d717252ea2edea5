"""Debian packages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from installers.core.actions.packages import InstallPackages
from installers.core.facts.files import PathInfo, PathState
from installers.core.facts.packages import PackageTransaction, PackageVersion, Repository, UnfinishedPackages
from installers.core.facts.units import UnitInfo, UnitState
from installers.core.facts.users import GroupNamed, GroupRecord, UserNamed, UserRecord
from installers.core.model import Blocked, Change, Decision, Fact, Facts, Satisfied
from installers.core.resources.base import BaseResource


@dataclass(frozen=True, slots=True)
class Provides:
    """What packages bring that later resources of a plan count on, from a component's ``provides``."""

    units: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def predictions(self) -> dict[Fact[Any], Any]:
        """Facts after the installation. Numbers and contents are not known before it, and left open."""
        found: dict[Fact[Any], Any] = {}
        # Whether a unit comes up enabled is the package's choice: left open, so the plan covers both.
        found |= {UnitInfo(name): UnitState("loaded", "inactive", "dead") for name in self.units}
        found |= {UserNamed(name): UserRecord(-1, -1, "", "") for name in self.users}
        found |= {GroupNamed(name): GroupRecord(-1) for name in (*self.groups, *self.users)}
        found |= {PathInfo(path): PathState("directory") for path in self.directories}
        found |= {PathInfo(path): PathState("file") for path in self.files}
        return found


@dataclass(frozen=True, slots=True, init=False)
class Packages(BaseResource):
    """These packages installed, in one apt transaction that starts nothing by itself.

    ``release``: a release to take them from, such as ``bookworm-backports``. ``repository``: where they
    come from in place of the system's sources. What is installed already is fine in any version.
    """

    names: tuple[str, ...]
    release: str
    provides: Provides
    repository: Repository | None

    def __init__(
        self,
        *names: str,
        release: str | None = None,
        provides: Provides = Provides(),
        repository: Repository | None = None,
    ) -> None:
        object.__setattr__(self, "names", tuple(sorted(dict.fromkeys(names))))
        object.__setattr__(self, "release", release or "")
        object.__setattr__(self, "provides", provides)
        object.__setattr__(self, "repository", repository)

    @property
    def key(self) -> str:
        return f"packages:{' '.join(self.names)}"

    def providing(self, provides: Provides) -> Packages:
        """The same packages, known to bring these things."""
        return Packages(*self.names, release=self.release, provides=provides, repository=self.repository)

    def out_of(self, repository: Repository) -> Packages:
        """The same packages, from there."""
        return Packages(*self.names, release=self.release, provides=self.provides, repository=repository)

    @property
    def transaction(self) -> PackageTransaction:
        """What installing them would do."""
        return PackageTransaction(self.names, self.release, self.repository)

    def needs(self) -> tuple[Fact[Any], ...]:
        provided = tuple(self.provides.predictions())
        return (*(PackageVersion(name) for name in self.names), UnfinishedPackages(), self.transaction, *provided)

    def decide(self, facts: Facts) -> Decision:
        versions = {name: facts[PackageVersion(name)] for name in self.names}
        missing = [name for name, version in versions.items() if version is None]
        if not missing:
            shown = ", ".join(f"{name} {version}" for name, version in versions.items())
            return Satisfied(f"installed: {shown}")
        if unfinished := facts[UnfinishedPackages()]:
            detail = f"not configured: {', '.join(unfinished)}"
            return Blocked("OLR-PKG-006", {"packages": ", ".join(unfinished), "detail": detail})
        todo = facts[self.transaction]
        if todo.problem:
            return Blocked(todo.problem, {"packages": ", ".join(missing), "detail": todo.detail})
        if todo.removed:
            return Blocked("OLR-PKG-009", {"packages": ", ".join(missing), "detail": ", ".join(todo.removed)})
        predicts: dict[Fact[Any], Any] = {PackageVersion(n): v for n, v in (*todo.new, *todo.upgraded)}
        why = f"not installed: {', '.join(missing)}"
        if extra := len(todo.new) - len(missing):
            why += f" (with {extra} they need)"
        if todo.upgraded:
            why += f"; upgrades {', '.join(name for name, _ in todo.upgraded)}"
        # With only some of them missing, what the others brought is there and known.
        provided = {fact: value for fact, value in self.provides.predictions().items() if _absent(facts[fact])}
        return Change((InstallPackages(self.names, self.release, self.repository),), why, predicts | provided)


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, UnitState) and value.load == "not-found")


def merged(packages: Iterable[Packages]) -> tuple[Packages, ...]:
    """The packages of a phase as one transaction per release."""
    by_release: dict[str, list[Packages]] = {}
    for each in packages:
        by_release.setdefault(each.release, []).append(each)
    return tuple(_one(group) for group in by_release.values())


def _one(group: list[Packages]) -> Packages:
    sets = [each.provides for each in group]
    provides = Provides(
        units=tuple(dict.fromkeys(name for each in sets for name in each.units)),
        users=tuple(dict.fromkeys(name for each in sets for name in each.users)),
        groups=tuple(dict.fromkeys(name for each in sets for name in each.groups)),
        directories=tuple(dict.fromkeys(name for each in sets for name in each.directories)),
        files=tuple(dict.fromkeys(name for each in sets for name in each.files)),
    )
    names = [name for each in group for name in each.names]
    return Packages(*names, release=group[0].release, provides=provides)
