"""What is done through minikube: make a profile, start, stop and delete it, load an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.errors import Failure
from installers.core.host.queries import QUERIES
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe, Unknown
from installers.machines.minikube.facts import MachineKey, OwnRecord, ProfileHealth, ProfileKept
from installers.machines.minikube.layout import RUNTIME, Profile, Record
from installers.machines.minikube.talk import Talk

START = 1800.0
"""Seconds a start may take: it may download a system of some 400 MB and Kubernetes' images first."""

STOP = 300.0
"""Seconds a stop may take; minikube itself tries for two minutes."""

DELETE = 420.0
"""Seconds a delete may take; minikube gives itself five minutes."""

LOAD = 900.0
"""Seconds an image may take to get in."""

_ANY = range(256)


def minikube(host: Host, profile: Profile, words: Sequence[str], *, verb: str, timeout: float) -> None:
    """One call of minikube for a profile. Raises ``Failure`` OLR-MINI by what it said, 011 when it did not end."""
    talk = Talk(verb, profile.name, host.progress)
    environment = QUERIES["minikube"].environment
    environment |= {"MINIKUBE_HOME": profile.home, "KUBECONFIG": profile.kubeconfig}
    argv = ["minikube", *words, f"--profile={profile.name}"]
    try:
        done = host.run(argv, timeout=timeout, env=environment, ok=_ANY, on_line=talk.hear)
    except Failure as failure:
        if failure.id == "OLR-HOST-002":
            raise talk.hung(timeout, _state(profile, host)) from failure
        raise
    if done.code:
        raise talk.failure(done.code)


def _state(profile: Profile, probe: Probe) -> str:
    """What minikube says of a profile now, in words for a message."""
    try:
        health = ProfileHealth(profile.name).load(probe)
    except Failure as failure:
        return f"unknown: {failure.id}"
    match health:
        case None:
            return "no machine"
        case Unknown(reason):
            return f"unknown: {reason}"
        case _:
            return f"host {health.host}, kubelet {health.kubelet}, apiserver {health.apiserver}"


@dataclass(frozen=True, slots=True)
class ProfileAction(BaseAction):
    """Base of all that is done with one profile; it lives and dies with that."""

    profile: Profile

    @property
    def target(self) -> str:
        return self.profile.name

    @property
    def inside(self) -> str:
        return f"minikube:{self.profile.name}"


@dataclass(frozen=True, slots=True)
class MakeProfile(ProfileAction):
    """Note that the profile is ours, have minikube make and start it, note which machine it got.

    No patience: a download may be cut short, by Ctrl-C too, and another start goes on with what is there.
    """

    kind: ClassVar[str] = "make-minikube-profile"

    @property
    def inside(self) -> str:
        return ""

    def describe(self) -> str:
        own = self.profile.settings
        return (
            f"make minikube profile {self.profile.name} ({own.driver}, {own.cpus} CPUs, {own.memory} MiB of memory, "
            f"{own.disk} MiB of disk) and start it"
        )

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return DeleteProfile(self.profile)

    def execute(self, host: Host) -> Outcome:
        write_record(host, Record(self.profile))
        minikube(host, self.profile, self._words(), verb="start", timeout=START)
        key = MachineKey(self.profile.home, self.profile.name).load(host)
        write_record(host, Record(self.profile, key if isinstance(key, str) else ""))
        return DONE

    def _words(self) -> list[str]:
        own = self.profile.settings
        return [
            *("start", f"--driver={own.driver}", f"--cpus={own.cpus}", f"--memory={own.memory}m"),
            *(f"--disk-size={own.disk}m", f"--container-runtime={RUNTIME}"),
            *([f"--ports={','.join(own.ports)}"] if own.ports else []),
            *([f"--kubernetes-version={own.kubernetes}"] if own.kubernetes else []),
            *QUIETLY,
        ]


QUIETLY = ("--keep-context", "--interactive=false", "--output=json")
"""The user's current context stays; no question is asked."""


def write_record(host: Host, record: Record) -> None:
    host.write(record.profile.record, record.to_json(), mode=0o600, uid=os.getuid(), gid=os.getgid())


@dataclass(frozen=True, slots=True)
class DeleteProfile(ProfileAction):
    """Delete a profile that is ours, and our record of it. One that is not, or not any more, stays."""

    kind: ClassVar[str] = "delete-minikube-profile"
    patience: ClassVar[float] = DELETE

    @property
    def inside(self) -> str:
        return ""

    @property
    def removes(self) -> str:
        return f"minikube:{self.profile.name}"

    def describe(self) -> str:
        return f"delete minikube profile {self.profile.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("what was in it is gone")

    def execute(self, host: Host) -> Outcome:
        name = self.profile.name
        record = OwnRecord(self.profile.record).load(host)
        if isinstance(record, Unknown):
            raise Failure("OLR-MINI-009", profile=name, name=self.profile.machine, why=record.reason)
        kept = ProfileKept(self.profile.home, name)
        if record is None:
            return Left(f"minikube profile {name}", "there is no record that it is ours") if kept.load(host) else DONE
        if kept.load(host):
            key = MachineKey(self.profile.home, name).load(host)
            if record.key and key and key != record.key:
                host.remove(self.profile.record)
                return Left(f"minikube profile {name}", "somebody made it anew since; it is theirs")
            minikube(host, self.profile, ("delete", "--output=json"), verb="delete", timeout=DELETE)
            if kept.load(host):
                why = f"minikube delete ended well and yet {self.profile.home} keeps something of it"
                raise Failure("OLR-MINI-009", profile=name, name=self.profile.machine, why=why)
        host.remove(self.profile.record)
        return DONE


@dataclass(frozen=True, slots=True)
class StartProfile(ProfileAction):
    """Start a profile that was made before; its settings are not said again."""

    kind: ClassVar[str] = "start-minikube-profile"

    def describe(self) -> str:
        return f"start minikube profile {self.profile.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return StopProfile(self.profile)

    def execute(self, host: Host) -> Outcome:
        words = ("start", f"--driver={self.profile.settings.driver}", *QUIETLY)
        minikube(host, self.profile, words, verb="start", timeout=START)
        return DONE


@dataclass(frozen=True, slots=True)
class StopProfile(ProfileAction):
    """Stop a profile; it keeps everything."""

    kind: ClassVar[str] = "stop-minikube-profile"
    patience: ClassVar[float] = STOP

    def describe(self) -> str:
        return f"stop minikube profile {self.profile.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return StartProfile(self.profile)

    def execute(self, host: Host) -> Outcome:
        minikube(host, self.profile, ("stop", "--output=json"), verb="stop", timeout=STOP)
        return DONE


@dataclass(frozen=True, slots=True)
class LoadImage(ProfileAction):
    """Load an image archive into the profile's nodes. ``tags``: what the archive says is in it."""

    kind: ClassVar[str] = "load-minikube-image"
    archive: str
    tags: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"{self.profile.name}: {' '.join(self.tags)}"

    def describe(self) -> str:
        return f"load {', '.join(self.tags)} from {self.archive} into {self.profile.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RemoveImage(self.profile, self.tags)

    def execute(self, host: Host) -> Outcome:
        minikube(host, self.profile, ("image", "load", self.archive), verb="image load", timeout=LOAD)
        return DONE


@dataclass(frozen=True, slots=True)
class RemoveImage(ProfileAction):
    """Remove images from the profile's nodes."""

    kind: ClassVar[str] = "remove-minikube-image"
    tags: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"{self.profile.name}: {' '.join(self.tags)}"

    def describe(self) -> str:
        return f"remove {', '.join(self.tags)} from {self.profile.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("its archive may be gone")

    def execute(self, host: Host) -> Outcome:
        minikube(host, self.profile, ("image", "rm", *self.tags), verb="image rm", timeout=LOAD)
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (
    DeleteProfile,
    LoadImage,
    MakeProfile,
    RemoveImage,
    StartProfile,
    StopProfile,
)
