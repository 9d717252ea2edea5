"""Kubernetes objects as they should be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from installers.core.actions.objects import ApplyObject, DeleteObject
from installers.core.facts.files import sha256
from installers.core.facts.objects import (
    Live,
    ObjectDigest,
    ObjectsOf,
    Silence,
    difference,
    holds_secrets,
    identity,
    ref_of,
    stated,
)
from installers.core.host.documents import documents
from installers.core.model import Action, Change, Decision, Fact, Facts, Object, Recorded, Satisfied

CLUSTER_WIDE = frozenset(
    {"Namespace", "Node", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    | {"StorageClass", "PriorityClass", "APIService", "IngressClass", "RuntimeClass", "CSIDriver", "CSINode"}
    | {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "VolumeAttachment"}
    | {"CertificateSigningRequest", "PodSecurityPolicy"}
)

_REFERENCES = str.maketrans("\x02\x03", "\ue002\ue003")
_REFERENCES_BACK = str.maketrans("\ue002\ue003", "\x02\x03")
"""YAML has no control characters: around parsing, secret references use a private pair instead."""


_AMOUNTS = frozenset({"limits", "requests", "hard", "capacity"})


@dataclass(frozen=True, slots=True)
class Objects:
    """A named set of Kubernetes objects, given as data or as YAML text of one or more documents.

    They are applied in the order given. What an earlier version of the set applied and this one
    does not hold is deleted.
    """

    name: str
    manifests: tuple[Object | str, ...]

    @property
    def key(self) -> str:
        return f"objects:{self.name}"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def contents(self) -> tuple[str, ...]:
        """Each object as canonical JSON; ``ValueError`` for one without a name, or without a namespace it needs."""
        return tuple(text for manifest in self.manifests for text in _contents(manifest))

    def needs(self) -> tuple[Fact[Any], ...]:
        contents = self.contents()
        kinds = dict.fromkeys(ref_of(identity(json.loads(content))).kind for content in contents)
        digests = (ObjectDigest(content) for content in contents if holds_secrets(content))
        return (*(fact(kind) for kind in kinds for fact in (ObjectsOf, Silence)), *digests, Recorded(self.key))

    def decide(self, facts: Facts) -> Decision:
        actions: list[Action] = []
        reasons: list[str] = []
        predicted: dict[Fact[Any], dict[str, Live]] = {}
        contents = {identity(json.loads(content)): content for content in self.contents()}
        for name, content in contents.items():
            fact = ObjectsOf(ref_of(name).kind)
            digest = facts[ObjectDigest(content)] if holds_secrets(content) else sha256(content.encode())
            why = _why(content, facts[fact].get(name), digest)
            if why:
                actions.append(ApplyObject(ref_of(name), content))
                reasons.append(f"{ref_of(name)}: {why}")
                wanted = stated(json.loads(content))
                made = Live(digest=digest, owned=wanted, ours=True, changing=True)
                predicted.setdefault(fact, dict(facts[fact]))[name] = made
        for name in _recorded(facts[Recorded(self.key)]):
            if name not in contents:
                actions.append(DeleteObject(ref_of(name)))
                reasons.append(f"{ref_of(name)}: it is no longer wanted")
        if not actions:
            return Satisfied(f"{len(contents)} objects are as they should be")
        if silent := next(filter(None, (facts[Silence(ref_of(name).kind)] for name in contents)), ""):
            return Change(tuple(actions), silent, predicted)
        more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        return Change(tuple(actions), "; ".join(reasons[:3]) + more, predicted)


def _contents(manifest: Object | str) -> tuple[str, ...]:
    return _contents_of_text(manifest) if isinstance(manifest, str) else (_content(manifest),)


@lru_cache(maxsize=256)
def _contents_of_text(manifest: str) -> tuple[str, ...]:
    """Read once: a plan asks what a resource needs and what it decides, each from its text."""
    return tuple(map(_content, _documents(manifest)))


def _content(item: Object) -> str:
    return json.dumps(_explicit(_checked(item)), sort_keys=True, separators=(",", ":"))


def _documents(manifest: str) -> list[Object]:
    found = [_back(document) for document in documents(manifest.translate(_REFERENCES))]
    return [item for document in found for item in (document["items"] if document["kind"] == "List" else [document])]


def _back(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(_REFERENCES_BACK)
    if isinstance(value, Mapping):
        return {_back(name): _back(below) for name, below in value.items()}
    return [_back(item) for item in value] if isinstance(value, list) else value


def _explicit(value: Any) -> Any:
    """What API servers of 1.20 do not fill in or convert in server-side apply, where newer ones do.

    A port's protocol (it is part of the port's key) and quantities given as numbers.
    """
    if isinstance(value, list):
        return [_explicit(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    found = {name: _explicit(below) for name, below in value.items()}
    if found.get("kind") == "Service":
        for port in found.get("spec", {}).get("ports") or ():
            port.setdefault("protocol", "TCP")
    for name in _AMOUNTS & found.keys():
        if isinstance(found[name], dict):
            found[name] = {k: str(v) if isinstance(v, int | float) else v for k, v in found[name].items()}
    if "containerPort" in found:
        found.setdefault("protocol", "TCP")
    return found


def _checked(item: Object) -> Object:
    """An object that says enough to find it again."""
    for name in ("apiVersion", "kind", "metadata"):
        if name not in item:
            raise ValueError(f"a manifest has no {name}: {json.dumps(item)[:120]}")
    if "name" not in item["metadata"]:
        raise ValueError(f"a {item['kind']} has no name")
    group = item["apiVersion"].rpartition("/")[0]
    built_in = "." not in group or group.endswith(".k8s.io")
    if built_in and item["kind"] not in CLUSTER_WIDE and not item["metadata"].get("namespace"):
        raise ValueError(f"{item['kind']} {item['metadata']['name']} names no namespace")
    return item


def _why(content: str, live: Live | None, digest: str) -> str:
    """Why an object has to be applied, or ""."""
    if live is None:
        return "there is no such object"
    if not live.ours:
        return "it is there, but not applied by us"
    if not digest or live.digest != digest:
        return "what we want has changed"
    where = difference(stated(json.loads(content)), live.owned)
    return f"{where} was changed by someone else" if where else ""


def _recorded(targets: tuple[str, ...]) -> tuple[str, ...]:
    """What this set holds in the cluster after everything it did, oldest first."""
    held: dict[str, None] = {}
    for target in targets:
        if target.startswith("-"):
            held.pop(target[1:], None)
        else:
            held[target] = None
    return tuple(held)
