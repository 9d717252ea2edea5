"""minikube on this computer: version, profiles and their state, what a machine stands on, and our record of one.

They are a user's and none of a host's: `facts record` does not ask them.

The forms are those of ``minikube version|profile list|status|image ls`` with JSON output, as minikube's own sources
and tests have them (v1.36 to v1.38); what they lack in a version is taken for the empty value, never guessed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from installers.core.errors import Failure
from installers.core.model import Probe, Query, Unknown
from installers.machines.minikube.layout import Record

ALIASES = {"qemu2": "qemu"}
"""minikube's own names of drivers that its users, and we, call otherwise."""


@dataclass(frozen=True, slots=True)
class MinikubeVersion:
    """minikube's version without the ``v``, None when there is no minikube."""

    def load(self, probe: Probe) -> str | Unknown | None:
        try:
            answer = probe.query(Query("minikube", ("version", "--output=json")))
        except Failure as failure:
            if failure.id == "OLR-HOST-003":
                return None
            raise
        if answer.code:
            return Unknown(f"minikube version ends with status {answer.code}: {answer.stderr.strip()[-200:]}")
        return parse_version(answer.stdout)


def parse_version(text: str) -> str | Unknown:
    found = _object(text).get("minikubeVersion")
    return str(found).removeprefix("v") if found else Unknown(f"minikube does not say its version: {text[:100]}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A profile as minikube has written it down. ``memory`` and ``disk`` in MiB; ``address`` of its first node."""

    name: str
    driver: str
    cpus: int
    memory: int
    disk: int
    runtime: str
    kubernetes: str
    ports: tuple[str, ...] = ()
    address: str = ""


@dataclass(frozen=True, slots=True)
class Profiles:
    """Every profile that minikube can read, by name. One that is broken is not among them."""

    def load(self, probe: Probe) -> tuple[Cluster, ...] | Unknown:
        answer = probe.query(Query("minikube", ("profile", "list", "--output=json", "--light")))
        found = parse_profiles(answer.stdout)
        if found is None:
            said = (answer.stderr or answer.stdout).strip()[-200:]
            return Unknown(f"minikube profile list ends with status {answer.code}: {said or 'it says nothing'}")
        return found


def parse_profiles(text: str) -> tuple[Cluster, ...] | None:
    """The valid profiles; None for an answer that is no list of profiles."""
    rows = _object(text).get("valid")
    if not isinstance(rows, list):
        return None
    found = [_cluster(row["Name"], row.get("Config") or {}) for row in rows if isinstance(row, dict) and "Name" in row]
    return tuple(sorted(found, key=lambda cluster: cluster.name))


def _cluster(name: str, config: dict[str, Any]) -> Cluster:
    kubernetes = config.get("KubernetesConfig") or {}
    nodes = config.get("Nodes") or [{}]
    driver = str(config.get("Driver", ""))
    return Cluster(
        name=name,
        driver=ALIASES.get(driver, driver),
        cpus=int(config.get("CPUs", 0)),
        memory=int(config.get("Memory", 0)),
        disk=int(config.get("DiskSize", 0)),
        runtime=str(kubernetes.get("ContainerRuntime", "")),
        kubernetes=str(kubernetes.get("KubernetesVersion", "")),
        ports=tuple(config.get("ExposedPorts") or ()),
        address=str(nodes[0].get("IP", "")),
    )


@dataclass(frozen=True, slots=True)
class Health:
    """What runs of a profile, in minikube's words: Running, Stopped, Paused, Nonexistent, Error, ..."""

    host: str
    kubelet: str
    apiserver: str
    kubeconfig: str

    @property
    def runs(self) -> bool:
        return self.host == self.kubelet == self.apiserver == "Running"


@dataclass(frozen=True, slots=True)
class ProfileHealth:
    """What runs of a profile; None when minikube has no such profile, or it has no machine."""

    profile: str

    def load(self, probe: Probe) -> Health | Unknown | None:
        answer = probe.query(Query("minikube", ("status", "--output=json", f"--profile={self.profile}")))
        # 1, 2 and 4 are added up: machine, cluster, kubeconfig are not as they should be. Others are reasons.
        if answer.code > 7 or not answer.stdout.strip():
            return None
        return parse_health(answer.stdout)


def parse_health(text: str) -> Health | Unknown | None:
    """One node's status; of several the first. ``null``: the machine is gone."""
    try:
        found = json.loads(text)
    except ValueError:
        return Unknown(f"minikube status is no JSON: {text.strip()[:100]}")
    if isinstance(found, list):
        found = found[0] if found else None
    if not isinstance(found, dict) or found.get("Host") == "Nonexistent":
        return None
    words = ("Host", "Kubelet", "APIServer", "Kubeconfig")
    return Health(*(str(found.get(word, "")) for word in words))


@dataclass(frozen=True, slots=True)
class ProfileKept:
    """Whether minikube keeps anything under a profile's name, readable or not. ``home``: minikube's."""

    home: str
    profile: str

    def load(self, probe: Probe) -> bool | Unknown:
        return any(probe.stat(f"{self.home}/{kind}/{self.profile}") for kind in ("profiles", "machines"))


@dataclass(frozen=True, slots=True)
class MachineKey:
    """Digest of the SSH key minikube made with a profile's machine, "" while there is none.

    It stays through stop and start and is another one in a machine made anew: how a profile is told from a later
    one of the same name.
    """

    home: str
    profile: str

    def load(self, probe: Probe) -> str | Unknown:
        path = f"{self.home}/machines/{self.profile}/id_rsa.pub"
        return probe.digest(path) if probe.stat(path) else ""


@dataclass(frozen=True, slots=True)
class ClusterImages:
    """The tags of every image a profile's nodes hold, sorted; None while nobody can be asked."""

    profile: str

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown | None:
        answer = probe.query(Query("minikube", ("image", "ls", "--format=json", f"--profile={self.profile}")))
        return None if answer.code else parse_images(answer.stdout)


def parse_images(text: str) -> tuple[str, ...] | Unknown:
    try:
        rows = json.loads(text or "[]") or []
        return tuple(sorted({tag for row in rows for tag in row.get("repoTags") or ()}))
    except (ValueError, AttributeError):
        return Unknown(f"minikube image ls is no list of images: {text.strip()[:100]}")


@dataclass(frozen=True, slots=True)
class Program:
    """Where a program lies, "" when it is in none of the directories of ``path`` (as in PATH)."""

    name: str
    path: str

    def load(self, probe: Probe) -> str | Unknown:
        places = (f"{folder}/{self.name}" for folder in self.path.split(":") if folder.startswith("/"))
        return next((place for place in places if probe.stat(place)), "")


@dataclass(frozen=True, slots=True)
class Docker:
    """Docker as its daemon answers. ``memory`` in MiB; ``problem``: why it does not answer, "" when it does."""

    version: str
    cpus: int
    memory: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DockerRuns:
    """Whether Docker's daemon answers, and what it may use: on macOS a virtual machine's share."""

    def load(self, probe: Probe) -> Docker | Unknown:
        answer = probe.query(Query("docker", ("info", "--format={{json .}}")))
        return parse_docker(answer.stdout, answer.stderr)


def parse_docker(out: str, err: str) -> Docker:
    found = _object(out)
    errors = [str(error) for error in found.get("ServerErrors") or ()]
    if errors or not found.get("ServerVersion"):
        said = errors or [line.strip() for line in err.splitlines() if line.strip()] or ["its daemon does not answer"]
        return Docker("", 0, 0, said[0])
    return Docker(str(found["ServerVersion"]), int(found.get("NCPU", 0)), int(found.get("MemTotal", 0)) >> 20)


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """What the record at a path says; None when there is none: the profile is not ours."""

    path: str

    def load(self, probe: Probe) -> Record | Unknown | None:
        if probe.stat(self.path) is None:
            return None
        try:
            return Record.from_json(probe.read(self.path))
        except ValueError as error:
            return Unknown(f"{self.path} is no record of a machine: {error}")


def _object(text: str) -> dict[str, Any]:
    """The JSON object a program printed; empty for anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
