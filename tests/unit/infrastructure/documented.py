"""What upstream documents of its configuration files (tests/data/kubeadm), and what in a document of ours is not so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

FOLDER = Path(__file__).parents[2] / "data/kubeadm"

DURATION = re.compile(r"0|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")
"""Go's time.ParseDuration, without signs."""

PLAIN: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "duration": str,
}


class Types(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"api_version": "apiVersion"}):
    """Fields of a configuration's types by name, each with the kind of its value."""

    source: str
    commit: str
    api_version: str
    kinds: tuple[str, ...]
    types: dict[str, dict[str, str]]
    release: str = ""

    def problems(self, document: Mapping[str, Any]) -> list[str]:
        """Everything in a document that these types do not have, or have otherwise."""
        if document.get("apiVersion") != self.api_version or document.get("kind") not in self.kinds:
            return [f"{document.get('apiVersion')} {document.get('kind')} is not here"]
        return list(self._fields(document, document["kind"], document["kind"]))

    def _fields(self, value: Mapping[str, Any], type: str, where: str) -> Iterator[str]:
        known = self.types[type]
        for name, inner in value.items():
            if name in known:
                yield from self._value(inner, known[name], f"{where}.{name}")
            else:
                yield f"{where}.{name} is not documented"

    def _value(self, value: Any, kind: str, where: str) -> Iterator[str]:
        container, of, inner = kind.partition(" of ")
        if of:
            if not isinstance(value, {"list": list, "map": dict}[container]):
                yield f"{where} must be a {container}"
            else:
                items = value.items() if isinstance(value, dict) else enumerate(value)
                for place, item in items:
                    yield from self._value(item, inner, f"{where}[{place}]")
        elif kind in self.types:
            if isinstance(value, dict):
                yield from self._fields(value, kind, where)
            else:
                yield f"{where} must be a {kind}"
        elif kind != "any" and wrong_kind(value, kind):
            yield f"{where} must be a {kind}, not {value!r}"


def wrong_kind(value: Any, kind: str) -> bool:
    if kind == "list of string":
        return not isinstance(value, list) or any(not isinstance(item, str) for item in value)
    # True is an int to Python, and to nobody else.
    if isinstance(value, bool) is not (kind == "boolean") or not isinstance(value, PLAIN[kind]):
        return True
    return kind == "duration" and DURATION.fullmatch(str(value)) is None


def types(name: str) -> Types:
    """The types in one of the files."""
    return msgspec.convert(read(name), Types)


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return found


def tree_problems(value: Mapping[str, Any], keys: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """The same for nested tables of keys (containerd)."""
    for name, inner in value.items():
        path = f"{where}/{name}"
        known = keys.get(name)
        if known is None:
            yield f"{path} is not documented"
        elif isinstance(known, dict):
            yield from tree_problems(inner, known, path) if isinstance(inner, dict) else (f"{path} must be a table",)
        elif wrong_kind(inner, known):
            yield f"{path} must be a {known}, not {inner!r}"
