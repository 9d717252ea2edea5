"""minikube machines by verb: create, start, stop, list, shell, delete. They belong to the user, never to root."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from shlex import join
from typing import TypeVar

from installers.core.component.codec import ActionCodec
from installers.core.engine.run import Bench, Result, everything, install, remaining, take_back
from installers.core.errors import Failure
from installers.core.host.local import LocalHost, LocalProbe
from installers.core.model import Fact, Unknown
from installers.core.model.events import Emit
from installers.machines.driver import chain, remove_empty
from installers.machines.minikube import resources
from installers.machines.minikube.actions import ACTIONS
from installers.machines.minikube.facts import (
    Cluster,
    MachineKey,
    MinikubeVersion,
    OwnRecord,
    ProfileHealth,
    ProfileKept,
    Profiles,
)
from installers.machines.minikube.images import absolute, archive_tags
from installers.machines.minikube.layout import (
    Profile,
    Record,
    Wanted,
    check_name,
    journal_path,
    lock_path,
    machines_directory,
    minikube_home,
    planned,
    record_path,
)
from installers.site import Paths

CODEC = ActionCodec(ACTIONS)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """A machine as ``machine list`` shows it.

    ``state``: running, stopped, gone, unfinished, broken, foreign, or unknown with the reason ``why``.
    """

    profile: Profile
    state: str
    address: str = ""
    kubernetes: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class MinikubeDriver:
    """The minikube machines of this user. ``paths``: from ``user_paths``; ``stop``: set when the user interrupts."""

    paths: Paths
    emit: Emit
    stop: threading.Event = field(default_factory=threading.Event)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def create(self, name: str, wanted: Wanted, images: Sequence[str] = ()) -> Listed:
        """Make a machine and start it; one that is there with these settings is only started. Raises ``Failure``."""
        _refuse_root()
        record = self._record(name) and self.find(name)
        profile = planned(name, wanted, record=record, paths=self.paths, environ=self.environ)
        archives = tuple((path, archive_tags(path)) for path in map(absolute, images))
        return self._bring_up(profile, verb="create", images=archives)

    def start(self, name: str) -> Listed:
        """Start a machine that was made before."""
        _refuse_root()
        return self._bring_up(self.find(name).profile, verb="start")

    def halt(self, name: str) -> Result:
        """Stop a machine; what is in it stays."""
        _refuse_root()
        profile = self._own(name)
        wanted = [resources.ProfileStopped(profile)]
        return install(self._bench(name), chain(name, wanted), verb="stop")

    def delete(self, name: str) -> Result:
        """Delete a machine with all that is in it, and what we know of it. A profile not ours is never deleted."""
        _refuse_root()
        # Killed before its record was written, a create leaves a journal alone.
        if self._record(name) or not Path(journal_path(self.paths, name)).exists():
            self.find(name)
        self._require_minikube()
        result = take_back(self._bench(name), verb="delete", choose=everything)
        self._forget_if_gone(name)
        return result

    def listed(self) -> tuple[Listed, ...]:
        """Every machine we have a record of, by name; what minikube itself has besides is not our business.

        All are asked at once, each with a deadline of its own: one that does not answer keeps no other back.
        """
        found = [self._record(path.stem) for path in sorted(Path(machines_directory(self.paths)).glob("*.json"))]
        records = [record for record in found if record]
        if not records:
            return ()
        clusters = _answer(Profiles())
        with ThreadPoolExecutor(len(records)) as threads:
            return tuple(threads.map(lambda record: _listed_or_unknown(record, clusters), records))

    def find(self, name: str) -> Record:
        """Our record of a machine, or ``Failure("OLR-MACH-003")`` naming those there are."""
        record = self._record(name)
        if record is None:
            known = (path.stem for path in sorted(Path(machines_directory(self.paths)).glob("*.json")))
            raise Failure("OLR-MACH-003", name=name, known=", ".join(known) or "none")
        home = minikube_home(self.environ)
        if home != record.profile.home:
            raise Failure("OLR-MINI-013", name=name, made=record.profile.home, now=home)
        return record

    def shell(self, name: str, argv: Sequence[str]) -> list[str]:
        """The command line for a shell, or for one command, in a machine."""
        profile = self._own(name)
        # minikube hands one line to the shell over there: the words must come out of it as they went in.
        return ["minikube", "ssh", f"--profile={profile.name}", *(["--", join(argv)] if argv else [])]

    def _own(self, name: str) -> Profile:
        """The profile of a machine, if it is still the one we made."""
        record = self.find(name)
        self._require_minikube()
        key = _answer(MachineKey(record.profile.home, record.profile.name))
        if record.key and key and key != record.key:
            raise Failure("OLR-MINI-008", profile=record.profile.name, name=name)
        return record.profile

    def _record(self, name: str) -> Record | None:
        check_name(name)
        return _answer(OwnRecord(record_path(self.paths, name)))

    def _require_minikube(self) -> None:
        if _answer(MinikubeVersion()) is None:
            raise Failure("OLR-MINI-001")

    def _bring_up(self, profile: Profile, *, verb: str, images: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> Listed:
        wanted = resources.running(profile, path=self.environ.get("PATH", ""), images=images)
        result = install(self._bench(profile.machine), chain(profile.machine, wanted), verb=verb)
        self._forget_if_gone(profile.machine)
        if result.failure is not None and result.failure.id == "OLR-RUN-002":
            raise Failure("OLR-MINI-012", reason=result.failure.fields["reason"]) from result.failure
        if result.failure is not None:
            raise result.failure
        if result.status == "interrupted":
            raise KeyboardInterrupt
        return _listed(self.find(profile.machine), _answer(Profiles()))

    def _forget_if_gone(self, name: str) -> None:
        """Remove the journal of a machine that nothing is left of, or that was refused."""
        journal = journal_path(self.paths, name)
        if not remaining(journal) and self._record(name) is None:
            for path in (journal, f"{journal}-journal"):
                Path(path).unlink(missing_ok=True)
            remove_empty(Path(machines_directory(self.paths)))

    def _bench(self, name: str) -> Bench:
        return Bench(
            journal=journal_path(self.paths, name),
            lock=lock_path(self.paths),
            probe=LocalProbe(),
            host=lambda children: LocalHost("/", self.paths, scope=children, emit_progress=children.progress),
            codec=CODEC,
            emit=self.emit,
            stop=self.stop,
        )


def _answer(fact: Fact[T]) -> T:
    """A fact read now, or ``Failure``: OLR-MINI-001 without a minikube, else 012 with the reason."""
    try:
        answer = fact.load(LocalProbe())
    except Failure as failure:
        if failure.id == "OLR-HOST-003":
            raise Failure("OLR-MINI-001") from failure
        raise Failure("OLR-MINI-012", reason=str(failure)) from failure
    if isinstance(answer, Unknown):
        raise Failure("OLR-MINI-012", reason=answer.reason)
    return answer


def _listed_or_unknown(record: Record, clusters: Iterable[Cluster]) -> Listed:
    try:
        return _listed(record, clusters)
    except Failure as failure:
        return Listed(record.profile, "unknown", why=str(failure.fields.get("reason", failure.what)))


def _listed(record: Record, clusters: Iterable[Cluster]) -> Listed:
    profile = record.profile
    cluster = next((one for one in clusters if one.name == profile.name), None)
    if cluster is None:
        return Listed(profile, "broken" if _answer(ProfileKept(profile.home, profile.name)) else "gone")
    key = _answer(MachineKey(profile.home, profile.name))
    if record.key and key and key != record.key:
        return Listed(profile, "foreign")
    if not record.key:
        return Listed(profile, "unfinished", kubernetes=cluster.kubernetes)
    health = _answer(ProfileHealth(profile.name))
    if health is None or (health.host == "Running" and not health.runs):
        return Listed(profile, "broken", kubernetes=cluster.kubernetes)
    return Listed(profile, health.host.lower(), cluster.address, cluster.kubernetes)


def _refuse_root() -> None:
    if os.geteuid() == 0:
        raise Failure("OLR-MINI-016")
