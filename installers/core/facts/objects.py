"""Kubernetes objects: what of them is ours, and how it compares with what we want."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from installers.core.facts.files import filled_digest, sha256
from installers.core.model import ClusterAbsent, ClusterSilent, Kind, Object, Probe, Ref, Unknown

MANAGER = "olares"
DIGEST = "olares.io/digest"
"""Annotation with the sha256 of what we applied, after ``sealed:`` where it held secrets."""

SEALED = "sealed:"
HIDDEN = "\ufffdhidden"
"""Stands for a value that may be secret: facts know that it is there and nothing more."""

_IDENTITY = ("apiVersion", "kind", "status")
_METADATA = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Live:
    """A live object: its UID, the digest it was applied with, and the fields that belong to us.

    ``ours``: whether we ever applied it. ``changing``: predicted, so its status says nothing yet.
    """

    uid: str = ""
    digest: str = ""
    owned: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False
    changing: bool = False


@dataclass(frozen=True, slots=True)
class ObjectsOf:
    """Every object of a kind, by ``identity``; none without a cluster. Values of secrets are left out."""

    kind: Kind

    def load(self, probe: Probe) -> Mapping[str, Live] | Unknown:
        try:
            found = probe.objects(self.kind)
        except ClusterAbsent:
            return {}
        return {identity(item): parse_live(item) for item in found}


@dataclass(frozen=True, slots=True)
class Silence:
    """Why the objects of a kind cannot be seen although there should be a cluster; "" otherwise."""

    kind: Kind

    def load(self, probe: Probe) -> str:
        try:
            probe.objects(self.kind)
        except ClusterSilent as silent:
            return f"the cluster does not answer ({silent})"
        except ClusterAbsent:
            pass
        return ""


@dataclass(frozen=True, slots=True)
class ObjectDigest:
    """The digest an object will be applied with; "" while a secret it refers to is not made yet."""

    content: str

    def load(self, probe: Probe) -> str | Unknown:
        return digest_of(probe, self.content)


def digest_of(probe: Probe, content: str) -> str:
    """sha256 over an object's canonical JSON with its secrets filled in."""
    if not holds_secrets(content):
        return sha256(content.encode())
    filled = filled_digest(probe, content.replace("\\u0002", "\x02").replace("\\u0003", "\x03"))
    return f"{SEALED}{filled}" if filled else ""


def holds_secrets(content: str) -> bool:
    """Whether what is applied must not be read back: it refers to secrets or is a Secret."""
    return "\\u0002" in content or json.loads(content).get("kind") == "Secret"


def identity(item: Object) -> str:
    """``apiVersion/Kind/namespace/name``, with an empty namespace for cluster-wide objects."""
    metadata = item["metadata"]
    return f"{item['apiVersion']}/{item['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"


def identity_of(ref: Ref) -> str:
    return f"{ref.kind.api_version}/{ref.kind.name}/{ref.namespace}/{ref.name}"


def ref_of(identity: str) -> Ref:
    """The object an identity names."""
    api_version, kind, namespace, name = identity.rsplit("/", 3)
    return Ref(Kind(api_version, kind, plural(kind), bool(namespace)), name, namespace)


def plural(kind: str) -> str:
    """A kind's name in API paths, as the field forms it."""
    name = kind.lower()
    if name == "endpoints":
        return name
    if name.endswith(("s", "x", "ch")):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") and not name.endswith("ay") else f"{name}s"


def parse_live(item: Object) -> Live:
    """An object as the API gives it, reduced to what decisions need."""
    metadata = item["metadata"]
    digest = metadata.get("annotations", {}).get(DIGEST, "")
    ours = owned_fields(item)
    fields = ours or {}
    sealed = item["kind"] == "Secret" or digest.startswith(SEALED)
    return Live(metadata.get("uid", ""), digest, _hidden(fields) if sealed else fields, ours is not None)


def owned_fields(item: Object) -> dict[str, Any] | None:
    """The live values of the fields managedFields gives to us, None when we applied nothing."""
    entries = [
        entry.get("fieldsV1", {})
        for entry in item["metadata"].get("managedFields", ())
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")
    ]
    if not entries:
        return None
    owned: dict[str, Any] = {}
    for entry in entries:
        # An empty tree at the top owns nothing; below it would stand for a whole value.
        if entry:
            owned |= _project(item, entry)
    return owned


def _project(value: Any, fields: Mapping[str, Any]) -> Any:
    """The part of a value a fieldsV1 tree names.

    ``f:name`` is a field, ``k:{…}`` a list's item by its keys, ``v:…`` an item of a set, ``.`` the
    thing itself; an empty tree stands for all of it.
    """
    inner = {name: below for name, below in fields.items() if name != "."}
    if isinstance(value, list):
        if not inner:
            return [] if "." in fields else value
        return [part for item in value for part in _items(item, inner)]
    if isinstance(value, Mapping):
        if not inner:
            return {} if "." in fields else value
        return {
            name[2:]: _project(value[name[2:]], below)
            for name, below in inner.items()
            if name.startswith("f:") and name[2:] in value
        }
    return value


def _items(item: Any, fields: Mapping[str, Any]) -> Iterable[Any]:
    for name, below in fields.items():
        if name.startswith("v:") and json.loads(name[2:]) == item:
            yield item
        elif name.startswith("k:") and isinstance(item, Mapping):
            keys: dict[str, Any] = json.loads(name[2:])
            if all(item.get(key) == value for key, value in keys.items()):
                yield _project(item, below)


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _hidden(below) for name, below in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return HIDDEN


def stated(item: Object) -> dict[str, Any]:
    """What an object we want says beyond its name, with a Secret's values as the API keeps them."""
    wanted = {name: value for name, value in item.items() if name not in _IDENTITY}
    wanted["metadata"] = {name: value for name, value in item["metadata"].items() if name not in _METADATA}
    if item["kind"] == "Secret":
        data = {**item.get("data", {}), **wanted.pop("stringData", {})}
        wanted["data"] = dict.fromkeys(data, HIDDEN)
    return wanted


def difference(wanted: Any, live: Any, path: str = "") -> str:
    """The first field whose live value is not what we state, as a dotted path; "" when there is none.

    Only what is stated counts. An empty value is as good as none, since the API drops it.
    """
    if _empty(wanted) and (live is _ABSENT or _empty(live)):
        return ""
    if live is _ABSENT:
        return path or "."
    if live == HIDDEN:
        return ""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for name, value in wanted.items():
            if found := difference(value, live.get(name, _ABSENT), f"{path}.{name}".lstrip(".")):
                return found
        return ""
    if isinstance(wanted, list | tuple) and isinstance(live, list):
        return _list_difference(wanted, live, path)
    return "" if _same(wanted, live, path) else path


def _list_difference(wanted: Iterable[Any], live: list[Any], path: str) -> str:
    """Each wanted item needs a live one of its own; order is told by the digest, not here."""
    rest = list(live)
    for number, item in enumerate(wanted):
        match = next((i for i, other in enumerate(rest) if not difference(item, other, path)), None)
        if match is None:
            return f"{path}[{number}]"
        del rest[match]
    return ""


def _empty(value: Any) -> bool:
    return value is None or value is False or value == "" or value == 0 or value in ({}, [], ())


_QUANTITY = re.compile(r"([+-]?[0-9]*\.?[0-9]+)(?:([eE][+-]?[0-9]+)|(m|u|n|k|[KMGTPE]i|[MGTPE]))?")
_SUFFIXES = {
    **{"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10) ** 3},
    **{letter: Decimal(10) ** (3 * power) for power, letter in enumerate("MGTPE", 2)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}
_QUANTITIES = frozenset(
    {"limits", "requests", "capacity", "allocatable", "hard", "sizeLimit", "divisor", "podFixed"}
    | {"default", "defaultRequest", "min", "max", "averageValue"}
)
"""Fields which hold quantities: the API writes ``1000m`` as ``1`` and ``1024Mi`` as ``1Gi``."""


def _same(wanted: Any, live: Any, path: str) -> bool:
    if wanted == live:
        # True == 1 in Python, but not in JSON.
        return isinstance(wanted, bool) == isinstance(live, bool)
    if not _QUANTITIES.isdisjoint(re.split(r"[.\[]", path)):
        return (amount := quantity(wanted)) is not None and amount == quantity(live)
    return False


def quantity(value: Any) -> Decimal | None:
    """The amount a resource quantity stands for, None for something else."""
    found = _QUANTITY.fullmatch(str(value))
    if found is None:
        return None
    number, exponent, suffix = found.groups()
    return Decimal(f"{number}{exponent or ''}") * _SUFFIXES.get(suffix or "", Decimal(1))
