"""Waiting with a deadline, and saying what was wrong when it passes. Nothing is changed here."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, ClassVar

from installers.core.actions.base import BaseAction
from installers.core.errors import Failure
from installers.core.facts.objects import identity_of
from installers.core.facts.results import Readiness, Ready
from installers.core.model import (
    DONE,
    Action,
    ClusterAbsent,
    Fact,
    Host,
    Irreversible,
    Kind,
    Object,
    Outcome,
    Probe,
    Ref,
    Unknown,
)

PODS = Kind("v1", "Pod", "pods")
EVENTS = Kind("v1", "Event", "events")
POD_LOGS = "/var/log/pods"
FIRST, LONGEST = 0.25, 2.0
"""Seconds between two looks: close together at first, then gentle."""

HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
"""Reasons a container waits for which do not go away by themselves."""


def encoded_fact(fact: Fact[Any]) -> tuple[str, str]:
    """A fact as text: where its class is, and its fields."""
    import msgspec

    return f"{type(fact).__module__}:{type(fact).__qualname__}", msgspec.json.encode(fact).decode()


def _decoded_fact(where: str, fields: str) -> Fact[Any]:
    import msgspec

    module, _, name = where.partition(":")
    if not module.startswith("installers."):
        raise ValueError(f"not a fact of ours: {where}")
    fact: Fact[Any] = msgspec.json.decode(fields, type=getattr(importlib.import_module(module), name))
    return fact


def _looks(deadline: float) -> Iterator[float]:
    """Seconds passed at each look, the last one after the deadline."""
    began, pause = monotonic(), FIRST
    while True:
        passed = monotonic() - began
        yield passed
        if passed >= deadline:
            return
        sleep(min(pause, max(0.01, deadline - passed)))
        pause = min(LONGEST, pause * 1.5)


@dataclass(frozen=True, slots=True)
class Nothing(BaseAction):
    """Takes back what changed nothing."""

    kind: ClassVar[str] = "nothing"

    what: str

    @property
    def target(self) -> str:
        return self.what

    def describe(self) -> str:
        return f"nothing to take back for {self.what}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return self

    def execute(self, host: Host) -> Outcome:
        return DONE


@dataclass(frozen=True, slots=True)
class WaitFor(BaseAction):
    """Wait until a fact takes an expected value (JSON texts). ``deadline``: seconds."""

    kind: ClassVar[str] = "wait"

    name: str
    fact: str
    fields: str
    expected: tuple[str, ...]
    deadline: float

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"wait for {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Nothing(self.target)

    def execute(self, host: Host) -> Outcome:
        import msgspec

        fact = _decoded_fact(self.fact, self.fields)
        seen = ""
        for passed in _looks(self.deadline):
            try:
                value = fact.load(host)
            except (Failure, OSError) as error:
                value = Unknown(str(error))
            if isinstance(value, Unknown):
                seen = value.reason
            else:
                seen = json.dumps(msgspec.to_builtins(value), sort_keys=True)
                if seen in self.expected:
                    return DONE
            host.progress(int(passed), int(self.deadline), "seconds", seen[:120])
        raise Failure("OLR-WAIT-001", what=self.name, seconds=f"{self.deadline:g}", seen=seen[:200] or "nothing")


@dataclass(frozen=True, slots=True)
class WaitReady(BaseAction):
    """Wait until an object is ready; ends in what its pods, events and logs say. ``deadline``: seconds."""

    kind: ClassVar[str] = "wait-ready"

    ref: Ref
    deadline: float

    @property
    def target(self) -> str:
        return identity_of(self.ref)

    @property
    def inside(self) -> str:
        return "cluster"

    def describe(self) -> str:
        return f"wait for {self.ref}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Nothing(self.target)

    def execute(self, host: Host) -> Outcome:
        ready = Ready(False, "the cluster does not answer")
        for passed in _looks(self.deadline):
            try:
                ready = Readiness(self.ref).load(host)
            except Failure as failure:
                # The API server itself may be on its way: only the deadline ends this wait.
                ready = Ready(False, str(failure))
                continue
            if ready.done:
                return DONE
            if ready.failed:
                raise self._failure("OLR-KUBE-003", host, ready, passed)
            if reason := _hopeless(host, self.ref):
                raise self._failure("OLR-KUBE-003", host, Ready(False, reason), passed)
            host.progress(int(passed), int(self.deadline), "seconds", f"{self.ref}: {ready.text}")
        raise self._failure("OLR-KUBE-002", host, ready, self.deadline)

    def _failure(self, id: str, host: Host, ready: Ready, seconds: float) -> Failure:
        lines = diagnosis(host, self.ref)
        where = f"-n {self.ref.namespace} " if self.ref.namespace else ""
        return Failure(
            id,
            object=self.ref,
            seconds=f"{seconds:.0f}",
            reason="; ".join([ready.text, *lines[:2]]),
            command=f"kubectl {where}describe {self.ref.kind.name.lower()} {self.ref.name}",
            detail="\n".join(lines),
        )


def _listed(probe: Probe, kind: Kind, namespace: str) -> tuple[Object, ...]:
    try:
        found = probe.objects(kind)
    except (ClusterAbsent, Failure):
        # A diagnosis says what it can; the failure it belongs to is raised anyway.
        return ()
    return tuple(item for item in found if item["metadata"].get("namespace", "") == namespace)


def pods_of(probe: Probe, ref: Ref) -> tuple[Object, ...]:
    """The pods a workload has made, found by their names: a controller's pods begin with its own name."""
    pods = _listed(probe, PODS, ref.namespace)
    if ref.kind.name == "Pod":
        return tuple(pod for pod in pods if pod["metadata"]["name"] == ref.name)
    if ref.kind.name not in ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet"):
        return ()
    return tuple(pod for pod in pods if _made_by(pod, ref))


def _made_by(pod: Object, ref: Ref) -> bool:
    for owner in pod["metadata"].get("ownerReferences", ()):
        name = owner["name"]
        if (owner["kind"], name) == (ref.kind.name, ref.name):
            return True
        # A Deployment's pods belong to a ReplicaSet: the Deployment's name and one hash.
        if ref.kind.name == "Deployment" and owner["kind"] == "ReplicaSet" and name.rpartition("-")[0] == ref.name:
            return True
    return False


def _hopeless(probe: Probe, ref: Ref) -> str:
    return next((line for pod in pods_of(probe, ref) for reason, line in _waiting(pod) if reason in HOPELESS), "")


def _waiting(pod: Object) -> Iterator[tuple[str, str]]:
    """Why each container of a pod does not run: a reason and a line about it."""
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    if status.get("phase") in ("Pending", "Failed") and not status.get("containerStatuses"):
        for row in status.get("conditions") or ():
            if row.get("status") == "False" and row.get("reason"):
                yield row["reason"], f"pod {name}: {row['reason']}: {row.get('message', '')}"
    for row in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        for state in (row.get("state", {}), row.get("lastState", {})):
            for word in ("waiting", "terminated"):
                now = state.get(word)
                if now and now.get("reason") not in (None, "Completed", "ContainerCreating", "PodInitializing"):
                    code = f" (exit status {now['exitCode']})" if "exitCode" in now else ""
                    text = f": {now['message'].strip()}" if now.get("message") else ""
                    yield now["reason"], f"container {name}/{row['name']}: {now['reason']}{code}{text}"


def diagnosis(host: Probe, ref: Ref) -> list[str]:
    """What pods, events and logs say about an object that is not ready, most telling first."""
    pods = pods_of(host, ref)
    lines = [line for pod in pods for _, line in _waiting(pod)]
    names = {ref.name, *(pod["metadata"]["name"] for pod in pods)}
    events = [event for event in _listed(host, EVENTS, ref.namespace) if _about(event, names)]
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    lines += [f"event: {event.get('reason')}: {str(event.get('message', '')).strip()}" for event in events[-5:]]
    for pod in pods:
        if any(not row.get("ready") for row in pod.get("status", {}).get("containerStatuses") or ()):
            lines += _each(host, pod, _last_lines)
    return list(dict.fromkeys(lines))


def _about(event: Object, names: set[str]) -> bool:
    return event.get("type") == "Warning" and event.get("involvedObject", {}).get("name") in names


def _each(host: Probe, pod: Object, read: Callable[[Probe, str], list[str]]) -> list[str]:
    metadata = pod["metadata"]
    directory = f"{POD_LOGS}/{metadata.get('namespace', '')}_{metadata['name']}_{metadata.get('uid', '')}"
    return [
        f"log of {metadata['name']}/{container}: {line}"
        for container in host.listdir(directory)
        for line in read(host, f"{directory}/{container}")
    ]


def _last_lines(host: Probe, directory: str) -> list[str]:
    """The end of a container's newest log on this node, without the runtime's own prefix."""
    logs = [name for name in host.listdir(directory) if name.endswith(".log")]
    if not logs:
        return []
    newest = max(logs, key=lambda name: (len(name), name))
    try:
        text = host.read(f"{directory}/{newest}")[-16384:].decode(errors="replace")
    except OSError:
        return []
    return [line.split(" ", 3)[-1] for line in text.splitlines()[-5:]]


ACTIONS: tuple[type[BaseAction], ...] = (WaitFor, WaitReady, Nothing)
