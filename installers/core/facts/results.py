"""Results of commands and rollouts: what a guarded command or a wait looks at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from installers.core.facts.fresh import NODES, fresh
from installers.core.facts.objects import Silence, identity, identity_of
from installers.core.model import ClusterAbsent, Object, Probe, Ref, Unknown

STALE = "what the API says is from before this system started"
REPORTED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Pod", "Node"})
"""Kinds whose status rests on what a kubelet last reported."""


@dataclass(frozen=True, slots=True)
class FilesPresent:
    """Whether all of these paths exist."""

    paths: tuple[str, ...]

    def load(self, probe: Probe) -> bool | Unknown:
        return all(probe.stat(path) is not None for path in self.paths)


@dataclass(frozen=True, slots=True)
class NodeReady:
    """Whether a node is in the cluster and Ready, by what was reported since this system started."""

    name: str

    def load(self, probe: Probe) -> bool | Unknown:
        found = find(probe, Ref(NODES, self.name))
        return found is not None and parse_readiness(found).done and fresh(probe)


@dataclass(frozen=True, slots=True)
class ObjectFields:
    """One field of an object (``status.phase``) as JSON text; "" while the object or the field is absent."""

    ref: Ref
    path: str

    def load(self, probe: Probe) -> str | Unknown:
        value: Any = find(probe, self.ref)
        for name in self.path.split("."):
            if not isinstance(value, dict) or name not in value:
                return ""
            value = value[name]
        return json.dumps(value, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Ready:
    """How far an object is: ``text`` says it in words; ``failed``: it will not come about by waiting."""

    done: bool
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far an object is on its way to being ready."""

    ref: Ref

    def load(self, probe: Probe) -> Ready:
        found = find(probe, self.ref)
        if found is None:
            return Ready(False, Silence(self.ref.kind).load(probe) or "there is no such object")
        ready = parse_readiness(found)
        stale = ready.done and found["kind"] in REPORTED and not fresh(probe)
        return Ready(False, STALE) if stale else ready


def find(probe: Probe, ref: Ref) -> Object | None:
    """One object out of the list of its kind; None also without a cluster."""
    try:
        objects = probe.objects(ref.kind)
    except ClusterAbsent:
        return None
    name = identity_of(ref)
    return next((item for item in objects if identity(item) == name), None)


def condition(item: Object, type: str) -> Object:
    """One of an object's conditions, {} when it has none of that type."""
    conditions = item.get("status", {}).get("conditions") or ()
    found: Object = next((row for row in conditions if row.get("type") == type), {})
    return found


def parse_readiness(item: Object) -> Ready:
    """Whether an object is what its kind calls ready; kinds without such a thing are once they exist."""
    kind, spec, status = item["kind"], item.get("spec", {}), item.get("status", {})
    if kind in ("Deployment", "StatefulSet", "DaemonSet"):
        if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
            return Ready(False, "its controller has not seen it yet")
        return _workload(item)
    if kind == "Job":
        failed = condition(item, "Failed")
        if failed.get("status") == "True":
            return Ready(False, str(failed.get("message") or failed.get("reason") or "it failed"), failed=True)
        done = condition(item, "Complete").get("status") == "True"
        return Ready(done, f"{status.get('succeeded', 0)} of {spec.get('completions', 1)} runs have succeeded")
    if kind in ("PersistentVolumeClaim", "PersistentVolume", "Namespace"):
        phase = str(status.get("phase", "Pending"))
        return Ready(phase in ("Bound", "Active", "Available"), f"it is {phase}", failed=phase == "Lost")
    if kind == "Endpoints":
        count = sum(len(subset.get("addresses") or ()) for subset in item.get("subsets") or ())
        return Ready(count > 0, f"it has {count} ready addresses")
    if kind == "Pod" and status.get("phase") == "Succeeded":
        return Ready(True, "it has finished")
    wanted = {"Node": "Ready", "Pod": "Ready", "CustomResourceDefinition": "Established", "APIService": "Available"}
    if kind in wanted:
        row = condition(item, wanted[kind])
        done = row.get("status") == "True"
        return Ready(done, f"it is {'' if done else 'not '}{wanted[kind]}{_because(row, done)}")
    return Ready(True, "it exists")


def _because(row: Object, done: bool) -> str:
    text = row.get("message") or row.get("reason")
    return f": {text}" if text and not done else ""


def _workload(item: Object) -> Ready:
    status = item.get("status", {})
    if item["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        extra = 0
    else:
        wanted = item["spec"].get("replicas", 1)
        updated = status.get("updatedReplicas", 0)
        ready = status.get("availableReplicas" if item["kind"] == "Deployment" else "readyReplicas", 0)
        extra = status.get("replicas", 0) - wanted
    progress = condition(item, "Progressing")
    failed = progress.get("reason") == "ProgressDeadlineExceeded"
    if updated < wanted:
        return Ready(False, f"{updated} of {wanted} pods are of the new version", failed)
    if ready < wanted:
        return Ready(False, f"{ready} of {wanted} pods are ready", failed)
    if extra > 0:
        return Ready(False, f"{extra} old pods are still there", failed)
    return Ready(True, f"{ready} of {wanted} pods are ready")


@dataclass(frozen=True, slots=True)
class ObjectsPresent:
    """Whether all of these objects exist; False also without a cluster."""

    refs: tuple[Ref, ...]

    def load(self, probe: Probe) -> bool | Unknown:
        return all(find(probe, ref) is not None for ref in self.refs)


@dataclass(frozen=True, slots=True)
class HasLabel:
    """Whether an object exists and carries a label, whatever its value."""

    ref: Ref
    label: str

    def load(self, probe: Probe) -> bool | Unknown:
        found = find(probe, self.ref)
        return found is not None and self.label in (found["metadata"].get("labels") or {})


@dataclass(frozen=True, slots=True)
class FileContains:
    """Whether a file exists and holds this text."""

    path: str
    text: str

    def load(self, probe: Probe) -> bool | Unknown:
        return probe.stat(self.path) is not None and self.text in probe.read(self.path).decode(errors="replace")
