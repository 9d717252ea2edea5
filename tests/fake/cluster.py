"""A Kubernetes API's memory: server-side apply with field ownership, UIDs, cascading namespaces."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from installers.core.model import ClusterAbsent, ClusterSilent, Kind, Object, Ref

Key = tuple[str, str, str, str]
"""apiVersion, kind, namespace, name."""

MERGE_KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "containers": (("name",),),
    "initContainers": (("name",),),
    "env": (("name",),),
    "volumes": (("name",),),
    "volumeMounts": (("mountPath",),),
    "imagePullSecrets": (("name",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "ownerReferences": (("uid",),),
}
"""Lists merged by key; any other list is one value."""


@dataclass(slots=True)
class Cluster:
    """``up``: whether the API answers; ``silent``: why it does not although it should.

    ``defaults``: what a server fills into a new object of a kind.
    """

    up: bool = False
    silent: str = ""
    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    defaults: dict[str, Callable[[dict[str, Any]], None]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def _answering(self) -> None:
        if self.silent:
            raise ClusterSilent(self.silent)
        if not self.up:
            raise ClusterAbsent("connection refused")

    def list(self, kind: Kind) -> tuple[Object, ...]:
        self._answering()
        wanted = (kind.api_version, kind.name)
        return tuple(copy.deepcopy(value) for key, value in sorted(self.objects.items()) if key[:2] == wanted)

    def get(self, ref: Ref) -> dict[str, Any] | None:
        return self.objects.get((ref.kind.api_version, ref.kind.name, ref.namespace, ref.name))

    def apply(self, content: Object, manager: str = "olares") -> Object:
        """Server-side apply with force: the named fields are set and ours, those we no longer name go."""
        self._answering()
        wanted = json.loads(json.dumps(content))
        metadata = wanted["metadata"]
        key = (wanted["apiVersion"], wanted["kind"], metadata.get("namespace", ""), metadata["name"])
        live = self.objects.get(key)
        before = copy.deepcopy(live)
        if live is None:
            live = {"apiVersion": key[0], "kind": key[1], "metadata": self._identity(key)}
            self.objects[key] = live
        owners = {entry["manager"]: entry for entry in live["metadata"].pop("managedFields", [])}
        fields = _fields(wanted, top=True)
        held = owners.pop(manager, {}).get("fieldsV1", {})
        others = [entry["fieldsV1"] for entry in owners.values()]
        _drop(live, held, fields, others)
        _merge(live, wanted)
        for entry in owners.values():
            _yield_fields(entry["fieldsV1"], fields)
        if before is None and key[1] in self.defaults:
            self.defaults[key[1]](live)
        entry = {
            "manager": manager,
            "operation": "Apply",
            "apiVersion": key[0],
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        live["metadata"]["managedFields"] = [*owners.values(), entry]
        if before != live:
            live["metadata"]["resourceVersion"] = str(next(self._numbers))
        return copy.deepcopy(live)

    def _identity(self, key: Key) -> dict[str, Any]:
        number = next(self._numbers)
        named = {"name": key[3], **({"namespace": key[2]} if key[2] else {})}
        uid = f"00000000-0000-4000-8000-{number:012d}"
        return {**named, "uid": uid, "creationTimestamp": "2026-11-22T10:00:00Z", "resourceVersion": str(number)}

    def edit(self, ref: Ref, change: Callable[[dict[str, Any]], None], manager: str = "kubectl-edit") -> None:
        """Somebody else changes an object: what differs afterwards belongs to ``manager``."""
        live = self.objects[(ref.kind.api_version, ref.kind.name, ref.namespace, ref.name)]
        before = copy.deepcopy(live)
        change(live)
        changed = _difference(before, live)
        for entry in live["metadata"]["managedFields"]:
            _yield_fields(entry["fieldsV1"], changed)
        entry = {"manager": manager, "operation": "Update", "apiVersion": ref.kind.api_version, "fieldsV1": changed}
        live["metadata"]["managedFields"].append(entry)
        live["metadata"]["resourceVersion"] = str(next(self._numbers))

    def delete(self, ref: Ref, uid: str) -> None:
        """With the UID precondition; a namespace takes along what is in it."""
        self._answering()
        live = self.get(ref)
        if live is None or live["metadata"]["uid"] != uid:
            return
        gone = {(ref.kind.api_version, ref.kind.name, ref.namespace, ref.name)}
        if ref.kind.name == "Namespace":
            gone |= {key for key in self.objects if key[2] == ref.name}
        owned = {
            k for k, v in self.objects.items() if any(o["uid"] == uid for o in v["metadata"].get("ownerReferences", ()))
        }
        for key in gone | owned:
            del self.objects[key]


def _keys(name: str, items: list[Any]) -> tuple[str, ...] | None:
    """The merge key of a list of this name, as far as all its items carry it (protocol has a default)."""
    for keys in MERGE_KEYS.get(name, ()):
        if items and all(isinstance(item, dict) and keys[0] in item for item in items):
            return keys
    return None


def _label(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    values = {key: item.get(key, "TCP" if key == "protocol" else None) for key in keys}
    return "k:" + json.dumps(values, separators=(",", ":"))


def _fields(value: Mapping[str, Any], *, top: bool = False) -> dict[str, Any]:
    """The fieldsV1 of an applied value. Identity is nobody's field."""
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if top and name in ("apiVersion", "kind", "status"):
            continue
        if top and name == "metadata":
            kept = {
                k: v
                for k, v in inner.items()
                if k not in ("name", "namespace", "uid", "managedFields", "resourceVersion")
            }
            if kept:
                found["f:metadata"] = _fields(kept)
        elif isinstance(inner, dict) and inner:
            found[f"f:{name}"] = _fields(inner)
        elif isinstance(inner, list) and (keys := _keys(name, inner)):
            found[f"f:{name}"] = {_label(item, keys): {".": {}, **_fields(item)} for item in inner}
        else:
            found[f"f:{name}"] = {}
    return found


def _merge(live: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        present = live.get(name)
        if isinstance(value, dict) and isinstance(present, dict) and value:
            _merge(present, value)
        elif isinstance(value, list) and isinstance(present, list) and (keys := _keys(name, value)):
            by_label = {_label(item, keys): item for item in present}
            for item in value:
                if _label(item, keys) in by_label:
                    _merge(by_label[_label(item, keys)], item)
                else:
                    present.append(item)
        else:
            live[name] = value


def _drop(
    live: dict[str, Any], held: Mapping[str, Any], wanted: Mapping[str, Any], others: list[Mapping[str, Any]]
) -> None:
    """Remove what we held, name no more and nobody else holds."""
    for label, inner in held.items():
        name = label[2:]
        rest = [other[label] for other in others if label in other]
        if not label.startswith("f:") or name not in live:
            continue
        present = live[name]
        if isinstance(present, list) and any(key.startswith("k:") for key in inner):
            _drop_items(present, name, inner, wanted.get(label, {}), rest)
            if not present and label not in wanted:
                del live[name]
        elif isinstance(present, dict) and inner:
            _drop(present, inner, wanted.get(label, {}), rest)
            if not present and label not in wanted:
                del live[name]
        elif label not in wanted and not rest:
            del live[name]


def _drop_items(
    present: list[Any], name: str, held: Mapping[str, Any], wanted: Mapping[str, Any], others: list[Mapping[str, Any]]
) -> None:
    keys = _keys(name, present)
    if keys is None:
        return
    for item in list(present):
        label = _label(item, keys)
        if label not in held:
            continue
        if label in wanted:
            _drop(item, held[label], wanted[label], [other[label] for other in others if label in other])
        elif not any(label in other for other in others):
            present.remove(item)


def _yield_fields(held: dict[str, Any], taken: Mapping[str, Any]) -> None:
    """Fields forced away from a manager are no longer its own."""
    for label in list(held):
        if label not in taken or label == ".":
            continue
        if held[label] and taken[label]:
            _yield_fields(held[label], taken[label])
            if set(held[label]) <= {"."}:
                del held[label]
        elif not held[label] and not taken[label]:
            del held[label]


def _difference(before: Any, after: Mapping[str, Any]) -> dict[str, Any]:
    """The fieldsV1 of what differs from before."""
    found: dict[str, Any] = {}
    for name, value in after.items():
        old = before.get(name) if isinstance(before, dict) else None
        if value == old or name in ("managedFields", "resourceVersion"):
            continue
        if isinstance(value, dict) and value:
            found[f"f:{name}"] = _difference(old, value)
        elif isinstance(value, list) and (keys := _keys(name, value)):
            olds = {_label(item, keys): item for item in old or ()}
            items = {_label(item, keys): _difference(olds.get(_label(item, keys)), item) for item in value}
            found[f"f:{name}"] = {label: inner for label, inner in items.items() if inner}
        else:
            found[f"f:{name}"] = {}
    return found
