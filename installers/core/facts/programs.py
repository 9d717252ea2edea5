"""Programs a host has to have, the package each comes in by package manager, and what installing those would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from installers.core.facts.managers import PackageManager
from installers.core.facts.packages import Transaction, simulate_install
from installers.core.facts.protection import SelinuxState
from installers.core.facts.transactions import MANAGERS, simulate
from installers.core.model import Probe, Unknown

FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/usr/local/sbin", "/usr/local/bin")
"""Where programs for root lie; some distributions have made one of these a link to another."""


@dataclass(frozen=True, slots=True)
class Need:
    """A program, and the package it comes in by each package manager: (manager, package) pairs."""

    program: str
    packages: tuple[tuple[str, str], ...]

    def package(self, manager: str) -> str:
        """The package's name there, "" where nobody has said it."""
        return dict(self.packages).get(manager, "")


@dataclass(frozen=True, slots=True)
class MissingPrograms:
    """Those of the programs that lie in no directory of programs, whichever package or person they would come from."""

    programs: tuple[str, ...]

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        return missing(probe, self.programs)


def missing(probe: Probe, programs: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in programs if all(probe.stat(f"{folder}/{name}") is None for folder in FOLDERS))


@dataclass(frozen=True, slots=True)
class HostPackages:
    """What a package manager would have to install, and what that would do by its own simulation.

    ``manager``: "" where there is none this program can use. ``names``: the packages asked for.
    """

    manager: str
    names: tuple[str, ...] = ()
    transaction: Transaction = field(default_factory=Transaction)


@dataclass(frozen=True, slots=True)
class PackagesFor:
    """The packages of those programs that are missing, and what installing them would do."""

    costly: ClassVar[bool] = True

    needs: tuple[Need, ...]

    def load(self, probe: Probe) -> HostPackages | Unknown:
        gone = missing(probe, tuple(need.program for need in self.needs))
        manager = manager_of(probe)
        names = [need.package(manager) for need in self.needs if need.program in gone]
        if not manager or not all(names):
            return HostPackages("")
        return host_packages(probe, manager, names)


@dataclass(frozen=True, slots=True)
class MissingPolicies:
    """Packages of SELinux policies that are not here, and what installing them would do. None while none is missing.

    ``names``: container-selinux, k3s-selinux, as rpm's distributions call them.
    """

    costly: ClassVar[bool] = True

    names: tuple[str, ...]

    def load(self, probe: Probe) -> HostPackages | Unknown | None:
        found = SelinuxState().load(probe)
        if isinstance(found, Unknown):
            return found
        gone = found.missing(self.names) if found is not None else ()
        if not gone:
            return None
        manager = manager_of(probe)
        return host_packages(probe, manager, gone) if manager in ("dnf", "zypper") else HostPackages("")


def manager_of(probe: Probe) -> str:
    """The package manager we work with here, "" without one: image-based systems change another way."""
    found = PackageManager().load(probe)
    name = found.name if found is not None and not isinstance(found, Unknown) else ""
    return name if name in ("apt", *MANAGERS) else ""


def host_packages(probe: Probe, manager: str, names: Sequence[str]) -> HostPackages:
    wanted = tuple(sorted(dict.fromkeys(names)))
    if not wanted:
        return HostPackages(manager)
    plan = simulate_install(probe, wanted) if manager == "apt" else simulate(probe, manager, wanted)
    return HostPackages(manager, wanted, plan)
