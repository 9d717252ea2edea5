"""A minikube machine as desired state: the means, the profile, that it runs or not, the images in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from installers.core.model import Blocked, Change, Decision, Deferred, Fact, Facts, May, Resource, Satisfied
from installers.core.resources.base import BaseResource
from installers.machines.minikube.actions import LoadImage, MakeProfile, StartProfile, StopProfile
from installers.machines.minikube.facts import (
    Cluster,
    ClusterImages,
    DockerRuns,
    MachineKey,
    MinikubeVersion,
    OwnRecord,
    ProfileHealth,
    ProfileKept,
    Profiles,
    Program,
)
from installers.machines.minikube.layout import OLDEST, RUNTIME, Profile, Settings, driver_program

HINTS = {
    "vfkit": "brew install vfkit",
    "qemu": "brew install qemu (on Debian: sudo apt-get install qemu-system)",
    "docker": "on macOS Docker Desktop, on Debian sudo apt-get install docker.io",
}


@dataclass(frozen=True, slots=True)
class Means(BaseResource):
    """What a machine stands on: a minikube new enough, its VM driver, memory enough. Nothing is installed for it.

    ``path``: the user's PATH, where minikube itself looks.
    """

    settings: Settings
    path: str

    @property
    def key(self) -> str:
        return "minikube"

    @property
    def _program(self) -> Program:
        return Program(driver_program(self.settings.driver), self.path)

    def needs(self) -> tuple[Fact[Any], ...]:
        docker: tuple[Fact[Any], ...] = (DockerRuns(),) if self.settings.driver == "docker" else ()
        return (MinikubeVersion(), self._program, *docker)

    def decide(self, facts: Facts) -> Decision:
        version, driver = facts[MinikubeVersion()], self.settings.driver
        if version is None:
            return Blocked("OLR-MINI-001")
        if version_number(version) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            return Blocked("OLR-MINI-002", {"found": version, "oldest": oldest})
        if not facts[self._program]:
            return Blocked(
                "OLR-MINI-003", {"driver": driver, "program": f"no {self._program.name} in PATH", "hint": HINTS[driver]}
            )
        if driver == "docker":
            docker = facts[DockerRuns()]
            if docker.problem:
                return Blocked("OLR-MINI-004", {"problem": docker.problem})
            for what, wanted, has in (
                ("CPUs", self.settings.cpus, docker.cpus),
                ("MiB of memory", self.settings.memory, docker.memory),
            ):
                if wanted > has:
                    message = f"{wanted} {what} asked for, Docker has {has}"
                    return Blocked("OLR-MINI-006", {"reason": "docker", "message": message})
        return Satisfied(f"minikube {version} with {driver}")


def version_number(text: str) -> tuple[int, ...]:
    """``1.38.0-beta.1`` as (1, 38, 0); what is no number counts as 0."""
    parts = text.split("-")[0].split("+")[0].split(".")
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


@dataclass(frozen=True, slots=True)
class ProfileMade(BaseResource):
    """A profile of ours with these settings."""

    profile: Profile

    @property
    def key(self) -> str:
        return f"minikube-profile:{self.profile.name}"

    @property
    def _kept(self) -> ProfileKept:
        return ProfileKept(self.profile.home, self.profile.name)

    @property
    def _key(self) -> MachineKey:
        return MachineKey(self.profile.home, self.profile.name)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (OwnRecord(self.profile.record), Profiles(), self._kept, self._key)

    def decide(self, facts: Facts) -> Decision:
        name, machine = self.profile.name, self.profile.machine
        record = facts[OwnRecord(self.profile.record)]
        cluster = next((one for one in facts[Profiles()] if one.name == name), None)
        there, key = cluster is not None or facts[self._kept], facts[self._key]
        foreign = Blocked("OLR-MINI-008", {"profile": name, "name": machine})
        if record is None:
            return foreign if there else Change((MakeProfile(self.profile),), "there is no such machine")
        if not there:
            return Change((MakeProfile(self.profile),), "minikube does not have it (any more)")
        if differs := differences(self.profile.settings, record.profile.settings):
            return Blocked("OLR-MINI-007", {"name": machine, "differs": "; ".join(differs)})
        if record.key and key and key != record.key:
            return foreign
        if not record.key:
            return Change((MakeProfile(self.profile),), "it was not made to its end")
        if cluster is None:
            why = "minikube cannot read its configuration"
            return Blocked("OLR-MINI-009", {"profile": name, "name": machine, "why": why})
        if differs := differences(record.profile.settings, settings_of(cluster)):
            changed = "; ".join(differs)
            return Blocked("OLR-MINI-007", {"name": machine, "differs": f"{changed} (changed without us)"})
        if cluster.runtime != RUNTIME:
            why = f"its container runtime is {cluster.runtime or 'not said'}, not {RUNTIME}"
            return Blocked("OLR-MINI-009", {"profile": name, "name": machine, "why": why})
        return Satisfied("it is made")


def settings_of(cluster: Cluster) -> Settings:
    return Settings(
        cluster.driver, cluster.cpus, cluster.memory, cluster.disk, cluster.ports, kubernetes=cluster.kubernetes
    )


def differences(wanted: Settings, has: Settings) -> list[str]:
    """Where what is there is not what is wanted, in words. Kubernetes counts only where a version was asked for."""
    rows: list[tuple[str, object, object]] = [
        ("VM driver", wanted.driver, has.driver),
        ("CPUs", wanted.cpus, has.cpus),
        ("memory (MiB)", wanted.memory, has.memory),
        ("disk (MiB)", wanted.disk, has.disk),
        ("ports", ", ".join(sorted(wanted.ports)) or "none", ", ".join(sorted(has.ports)) or "none"),
    ]
    if wanted.kubernetes:
        rows.append(("Kubernetes", wanted.kubernetes, has.kubernetes or "minikube's own"))
    return [f"{what} {has_it}, not {wanted_it}" for what, wanted_it, has_it in rows if wanted_it != has_it]


@dataclass(frozen=True, slots=True)
class ProfileState(BaseResource):
    """Base of whether a profile's machine runs: one key, so that one plan wants one of the two."""

    profile: Profile

    @property
    def key(self) -> str:
        return f"minikube-runs:{self.profile.name}"

    @property
    def _health(self) -> ProfileHealth:
        return ProfileHealth(self.profile.name)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self._health,)


@dataclass(frozen=True, slots=True)
class ProfileRunning(ProfileState):
    """A profile whose machine, kubelet and API server run."""

    def decide(self, facts: Facts) -> Decision:
        health = facts[self._health]
        if health is not None and health.runs:
            return Satisfied("it runs")
        why = "it has no machine" if health is None else f"its host is {health.host}, its API server {health.apiserver}"
        return Change((StartProfile(self.profile),), why)


@dataclass(frozen=True, slots=True)
class ProfileStopped(ProfileState):
    """A profile whose machine does not run."""

    def decide(self, facts: Facts) -> Decision:
        health = facts[self._health]
        if health is None or health.host == "Stopped":
            return Satisfied("it does not run")
        return Change((StopProfile(self.profile),), f"its host is {health.host}")


@dataclass(frozen=True, slots=True)
class ImageLoaded(BaseResource):
    """The images of an archive in a profile's nodes. ``tags`` in full, as the nodes list them."""

    profile: Profile
    archive: str
    tags: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"minikube-image:{' '.join(self.tags)}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ClusterImages(self.profile.name),)

    def decide(self, facts: Facts) -> Decision:
        held, load = facts[ClusterImages(self.profile.name)], LoadImage(self.profile, self.archive, self.tags)
        if held is None:
            return Deferred(f"{self.profile.name} runs", (May(load.kind, load.target),))
        missing = [tag for tag in self.tags if tag not in held]
        if not missing:
            return Satisfied("its nodes hold them")
        return Change((load,), f"its nodes lack {', '.join(missing)}")


def running(profile: Profile, *, path: str, images: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> Iterator[Resource]:
    """One machine that runs, with images (archive, tags) in it."""
    yield Means(profile.settings, path)
    yield ProfileMade(profile)
    yield ProfileRunning(profile)
    for archive, tags in images:
        yield ImageLoaded(profile, archive, tags)
