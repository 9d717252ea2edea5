"""Applying Kubernetes objects and deleting them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.actions.base import BaseAction
from installers.core.errors import Failure
from installers.core.facts.objects import (
    DIGEST,
    SEALED,
    digest_of,
    identity,
    identity_of,
    owned_fields,
    stated,
)
from installers.core.model import (
    DONE,
    Action,
    ClusterAbsent,
    Host,
    Irreversible,
    Left,
    Object,
    Outcome,
    Probe,
    Ref,
    masked,
)

SEALED_BEFORE = Irreversible("its former content holds secrets, which are kept nowhere else")


def _live(probe: Probe, ref: Ref) -> Object | None:
    name = identity_of(ref)
    return next((item for item in probe.objects(ref.kind) if identity(item) == name), None)


def _canonical(item: Object) -> str:
    return json.dumps(item, sort_keys=True, separators=(",", ":"))


def _former(live: Object, wanted: Object, ref: Ref) -> Action | Irreversible:
    """The way back to what an object was: our fields as they are, or those we are about to take over."""
    if live["kind"] == "Secret" or _annotation(live).startswith(SEALED):
        return SEALED_BEFORE
    fields = owned_fields(live)
    if fields is None:
        fields = _shape(live, stated(wanted))
    metadata = {**fields.get("metadata", {}), "name": ref.name}
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    content = {**fields, "apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}
    return ApplyObject(ref, _canonical(content))


def _annotation(live: Object) -> str:
    return str(live["metadata"].get("annotations", {}).get(DIGEST, ""))


def _shape(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The live values of the fields we are about to state; lists as a whole."""
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        present = live.get(name)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            found[name] = _shape(present, value)
        elif present is not None:
            found[name] = present
    return found


@dataclass(frozen=True, slots=True)
class ApplyObject(BaseAction):
    """Server-side apply of one object. ``content``: its JSON; secret references inside stay references."""

    kind: ClassVar[str] = "apply-object"

    ref: Ref
    content: str

    @property
    def target(self) -> str:
        return identity_of(self.ref)

    @property
    def inside(self) -> str:
        return "cluster"

    def describe(self) -> str:
        return f"apply {self.ref}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        try:
            live = _live(probe, self.ref)
        except ClusterAbsent as absent:
            raise Failure("OLR-KUBE-001", object=self.ref, reason=masked(str(absent))) from absent
        if live is None:
            return DeleteObject(self.ref)
        if _annotation(live) and _annotation(live) == digest_of(probe, self.content):
            # Only drift is put right: what we had applied before is this very content.
            return self
        return _former(live, json.loads(self.content), self.ref)

    def execute(self, host: Host) -> Outcome:
        item = _mapped(json.loads(self.content), host.reveal)
        if item["kind"] == "Secret" and "stringData" in item:
            # stringData is written only: fields applied through it are never ours to see again.
            plain = item.pop("stringData")
            data = {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
            item["data"] = {**item.get("data", {}), **data}
        # A former content brings its own digest along, so that whoever wanted it finds it unchanged.
        item["metadata"].setdefault("annotations", {}).setdefault(DIGEST, digest_of(host, self.content))
        try:
            host.apply_object(item)
        except ClusterAbsent as absent:
            raise Failure("OLR-KUBE-001", object=self.ref, reason=str(absent)) from absent
        return DONE


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every text in it changed."""
    if isinstance(value, str):
        return change(value) if "\x02" in value else value
    if isinstance(value, dict):
        return {name: _mapped(below, change) for name, below in value.items()}
    return [_mapped(item, change) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class DeleteObject(BaseAction):
    """Delete an object we applied; one that nobody of ours applied is somebody else's by now.

    Its target begins with ``-``, so that a set's record tells what it put there from what it took away.
    """

    kind: ClassVar[str] = "delete-object"

    ref: Ref

    @property
    def target(self) -> str:
        return f"-{identity_of(self.ref)}"

    @property
    def inside(self) -> str:
        return "cluster"

    def describe(self) -> str:
        return f"delete {self.ref}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        try:
            live = _live(probe, self.ref)
        except ClusterAbsent as absent:
            raise Failure("OLR-KUBE-001", object=self.ref, reason=str(absent)) from absent
        if live is None:
            return Irreversible("there is no such object any more")
        return _former(live, live, self.ref)

    def execute(self, host: Host) -> Outcome:
        try:
            live = _live(host, self.ref)
            if live is None:
                return DONE
            if owned_fields(live) is None:
                return Left(str(self.ref), "it was not applied by us")
            host.delete_object(self.ref, live["metadata"]["uid"])
        except ClusterAbsent as absent:
            return Left(str(self.ref), f"the cluster does not answer ({absent})")
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (ApplyObject, DeleteObject)
