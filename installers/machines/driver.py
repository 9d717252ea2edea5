"""Machines by verb: create, start, stop, list, delete, shell. The outer half is resources like any other."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import join

from installers.core.component.codec import ActionCodec
from installers.core.engine.journal import LIVE, Journal, Row
from installers.core.engine.run import Bench, Result, everything, install, require_root, take_back
from installers.core.errors import Failure
from installers.core.host.local import LocalHost, LocalProbe
from installers.core.model import Resource, Step
from installers.core.model.events import Emit
from installers.core.remote.client import Address
from installers.machines import resources
from installers.machines.actions import ACTIONS
from installers.machines.base import releases
from installers.machines.facts import MachinePid
from installers.machines.layout import Machine, known, machine_journal, planned, shared_journal
from installers.site import LOCK, Paths

CODEC = ActionCodec(ACTIONS)
TOOLS = "packages:"
"""Keys of what was installed on the outer host for machines begin with this."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A machine as ``machine list`` shows it. ``pid``: nspawn's, None while it is stopped."""

    name: str
    address: str
    release: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class Driver:
    """The machines of this computer. ``stop`` is set by whoever handles the user's interrupt."""

    paths: Paths
    emit: Emit
    stop: threading.Event = field(default_factory=threading.Event)

    def create(self, name: str, *, release: str = "") -> Machine:
        """Make a machine and boot it; one that is there is only booted. Raises ``Failure``.

        release: Debian's code name; "" takes the one the machine has, or the usual one.
        """
        if release and release not in releases():
            raise Failure("OLR-MACH-007", release=release, known=", ".join(releases()))
        self._require_means()
        machine = self._planned(name, release or releases()[0])
        if release and machine.release != release:
            raise Failure("OLR-MACH-008", name=name, release=machine.release, wanted=release)
        self._share(machine, verb="create")
        self._apply(machine_journal(self.paths, name), name, resources.own(machine), verb="create")
        return machine

    def start(self, name: str) -> Machine:
        """Boot a machine that was made before."""
        require_root()
        machine = self.find(name)
        # The computer may have been restarted since: bridge and rules do not outlive that.
        self._share(machine, verb="start")
        self._apply(machine_journal(self.paths, name), name, resources.own(machine), verb="start")
        return machine

    def halt(self, name: str) -> Result:
        """Shut a machine down; its data stays."""
        require_root()
        machine = self.find(name)
        key = resources.MachineRunning(machine).key
        return take_back(
            self._bench(machine_journal(self.paths, name)),
            verb="stop",
            choose=lambda journal: [row for row in journal.rows(*LIVE) if row.key == key],
        )

    def listed(self) -> tuple[Listed, ...]:
        """Every machine, running or not. Needs no privilege."""
        probe = LocalProbe()
        listed = []
        for machine in known(probe, self.paths):
            pid = MachinePid(machine.pids).load(probe)
            listed.append(Listed(machine.name, machine.address, machine.release, pid if isinstance(pid, int) else None))
        return tuple(listed)

    def find(self, name: str) -> Machine:
        """The machine of that name, or ``Failure("OLR-MACH-003")`` naming those there are."""
        there = known(LocalProbe(), self.paths)
        for machine in there:
            if machine.name == name:
                return machine
        raise Failure("OLR-MACH-003", name=name, known=", ".join(m.name for m in there) or "none")

    def delete(self, name: str, *, keep: Sequence[str] = ()) -> Result:
        """Remove a machine with all its data; with the last one goes what machines share.

        keep: key prefixes of shared things that stay (``TOOLS``: the packages installed for machines).
        """
        require_root()
        journal = machine_journal(self.paths, name)
        if not Path(journal).exists():
            self.find(name)
        result = take_back(self._bench(journal), verb="delete", choose=everything)
        if result.status != "done":
            return result
        for path in (journal, f"{journal}-journal"):
            Path(path).unlink(missing_ok=True)
        if known(LocalProbe(), self.paths):
            return result
        return self._delete_shared(tuple(keep))

    def _delete_shared(self, keep: tuple[str, ...]) -> Result:
        def chosen(journal: Journal) -> Sequence[Row]:
            return (
                [row for row in everything(journal) if not row.key.startswith(keep)]
                if keep
                else list(everything(journal))
            )

        path = Path(shared_journal(self.paths))
        result = take_back(self._bench(str(path)), verb="delete", choose=chosen)
        if result.status == "done":
            if not keep:
                path.unlink()
            for directory in ("machines", "base"):
                remove_empty(Path(self.paths.state) / directory)
            remove_empty(Path(self.paths.run) / "machines")
        return result

    def address(self, machine: Machine) -> Address:
        """How root reaches a machine over SSH."""
        return Address(machine.address, machine.key, machine.known_hosts)

    def shell(self, name: str, argv: Sequence[str]) -> list[str]:
        """The ssh command line for a shell, or for one command, in a machine."""
        machine = self.find(name)
        if MachinePid(machine.pids).load(LocalProbe()) is None:
            raise Failure("OLR-MACH-009", name=name)
        return [
            *("ssh", "-i", machine.key, "-o", f"UserKnownHostsFile={machine.known_hosts}"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR", f"root@{machine.address}"),
            # ssh hands one line to the shell over there: the words must come out of it as they went in.
            *([join(argv)] if argv else []),
        ]

    def _share(self, machine: Machine, *, verb: str) -> None:
        shared = resources.shared(self.paths, machine.release)
        self._apply(shared_journal(self.paths), "machines", shared, verb=verb)

    def _planned(self, name: str, release: str) -> Machine:
        base = resources.base_directory(self.paths, release)
        return planned(name, existing=known(LocalProbe(), self.paths), paths=self.paths, base=base)

    def _apply(self, journal: str, component: str, wanted: Iterable[Resource], *, verb: str) -> None:
        result = install(self._bench(journal), chain(component, wanted), verb=verb)
        if result.failure is not None:
            raise result.failure
        if result.status == "interrupted":
            raise KeyboardInterrupt

    def _bench(self, journal: str) -> Bench:
        return Bench(
            journal=journal,
            lock=LOCK,
            probe=LocalProbe(),
            host=lambda children: LocalHost("/", self.paths, scope=children, emit_progress=children.progress),
            codec=CODEC,
            emit=self.emit,
            stop=self.stop,
        )

    def _require_means(self) -> None:
        """Say everything this computer lacks for machines at once, and what still works."""
        missing = lacking()
        if missing:
            raise Failure("OLR-MACH-004", missing="; ".join(missing))


def lacking() -> tuple[str, ...]:
    """What this computer lacks to have machines: empty where they work."""
    missing = []
    if os.geteuid() != 0:
        missing.append("root (run it with sudo)")
    if not Path("/etc/debian_version").exists():
        missing.append("a Debian-like system (apt, mmdebstrap, systemd-container)")
    if not Path("/proc/self/ns/net").exists():
        missing.append("network namespaces in the kernel")
    known = Path("/proc/filesystems")
    if not known.exists() or "overlay" not in known.read_text():
        missing.append("the overlay file system in the kernel")
    return tuple(missing)


def chain(component: str, wanted: Iterable[Resource]) -> list[Step]:
    """Resources one after another."""
    steps: list[Step] = []
    for resource in wanted:
        after = frozenset({steps[-1].resource.key}) if steps else frozenset()
        steps.append(Step(resource, component, "machine", after))
    return steps


def remove_empty(directory: Path) -> None:
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()
