"""Machines as desired state: the shared half (base root, bridge, way out) and each machine's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from installers.core.facts.artifacts import BuiltEntry, Held
from installers.core.model import Change, Decision, Fact, Facts, Resource, Satisfied
from installers.machines.actions import TAR, BuildBase, MakeMachine, StartMachine, UnpackBase
from installers.machines.base import base_root
from installers.machines.facts import MachinePid, Spec, Unpacked
from installers.machines.layout import BRIDGE, SUBNET, Machine
from installers.site import Paths


@dataclass(frozen=True, slots=True)
class BaseArchive:
    """The base root's archive in the cache, as its record says."""

    cache: str
    ledger: str
    release: str
    listens: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"base-archive:{self.name}"

    @property
    def name(self) -> str:
        return f"machine-base-{base_root(self.release).key[:16]}"

    @property
    def archive(self) -> str:
        return f"{self.cache}/built/{self.name}/{TAR}"

    @property
    def _entry(self) -> BuiltEntry:
        return BuiltEntry(record=f"{self.ledger}/{self.name}.json", folder=f"{self.cache}/built/{self.name}")

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self._entry,)

    def decide(self, facts: Facts) -> Decision:
        if facts[self._entry].held == Held.GOOD:
            return Satisfied("it is in the cache and as recorded")
        why = "the cache does not hold it"
        return Change((BuildBase(self.cache, self.ledger, base_root(self.release).key, self.release),), why)


@dataclass(frozen=True, slots=True)
class Base:
    """The base root, unpacked and configured: read-only under every machine's overlay."""

    directory: str
    archive: str
    release: str
    listens: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"base:{self.directory}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Unpacked(self.directory),)

    def decide(self, facts: Facts) -> Decision:
        if facts[Unpacked(self.directory)]:
            return Satisfied("it is unpacked")
        return Change((UnpackBase(self.archive, self.directory, self.release),), "it is not there yet")


@dataclass(frozen=True, slots=True)
class MachineMade:
    """A machine's own directory."""

    machine: Machine
    listens: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"machine:{self.machine.name}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Spec(self.machine.spec),)

    def decide(self, facts: Facts) -> Decision:
        if facts[Spec(self.machine.spec)] == self.machine.to_json().decode():
            return Satisfied("it is made")
        return Change((MakeMachine(self.machine),), "there is no such machine")


@dataclass(frozen=True, slots=True)
class MachineRunning:
    """A machine that is booted."""

    machine: Machine
    listens: tuple[str, ...] = field(default=())

    @property
    def key(self) -> str:
        return f"machine-running:{self.machine.name}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (MachinePid(self.machine.pids),)

    def decide(self, facts: Facts) -> Decision:
        if facts[MachinePid(self.machine.pids)] is not None:
            return Satisfied("it runs")
        return Change((StartMachine(self.machine),), "it does not run")


def base_directory(paths: Paths, release: str) -> str:
    return f"{paths.state}/base/{base_root(release).name}"


def shared(paths: Paths, release: str) -> Iterator[Resource]:
    """What all machines of a release use on the outer host; taken away with the last of all machines."""
    from installers.core.resources.firewall import FirewallRule
    from installers.core.resources.kernel import Sysctl
    from installers.core.resources.network import Link
    from installers.core.resources.packages import Packages

    net = f"{SUBNET}.0/24"
    yield Packages("mmdebstrap", "systemd-container", "iptables", "iproute2", "openssh-client")
    archive = BaseArchive(paths.cache, paths.built, release)
    yield archive
    yield Base(base_directory(paths, release), archive.archive, release)
    yield Link(BRIDGE, kind="bridge", addresses=(f"{SUBNET}.1/24",))
    yield Sysctl("net.ipv4.ip_forward", "1")
    yield FirewallRule("nat", "POSTROUTING", ("-s", net, "!", "-d", net, "-j", "MASQUERADE"))
    yield FirewallRule("filter", "FORWARD", ("-i", BRIDGE, "-j", "ACCEPT"))
    yield FirewallRule("filter", "FORWARD", ("-o", BRIDGE, "-j", "ACCEPT"))


def own(machine: Machine) -> Iterator[Resource]:
    """One machine."""
    yield MachineMade(machine)
    yield MachineRunning(machine)
