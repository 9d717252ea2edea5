"""Cases as data: one YAML file each, read strictly, and a probe that answers from what the file recorded."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import stat
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

import installers.core.actions
import installers.core.facts
import installers.core.resources
from installers.core import model
from installers.core.host.documents import document
from installers.core.model import ClusterAbsent, Kind, Object, Output, Query, Stat, Unknown

DATA = Path(__file__).parents[2] / "data"
NOW = {"/proc/stat": "cpu 1 2 3\nbtime 1795300000\n", "/proc/uptime": "42000.00 80000.00\n"}
"""Sun 22 Nov 2026: the day of every case that does not say another."""


def cases(folder: str) -> list[tuple[str, str]]:
    """(subject, file) of every case below tests/data/<folder>, for parametrize."""
    return [(path.parent.name, path.stem) for path in sorted((DATA / folder).glob("*/*.yaml"))]


def read_case(folder: str, subject: str, name: str, *, required: set[str], optional: set[str]) -> dict[str, Any]:
    """A case; a missing or unknown key is an error, so that a typing mistake cannot make a case say nothing."""
    case = document((DATA / folder / subject / f"{name}.yaml").read_text())
    keys = set(case)
    assert keys >= required, f"missing: {sorted(required - keys)}"
    assert keys <= required | optional, f"unknown: {sorted(keys - required - optional)}"
    return dict(case)


def _modules(package: types.ModuleType) -> Iterator[types.ModuleType]:
    for found in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{found.name}")


def class_named(package: types.ModuleType, name: str) -> type[Any]:
    """The class a case names, wherever below a package it is defined; facts of the model too."""
    for module in (*_modules(package), model):
        found = getattr(module, name, None)
        if isinstance(found, type):
            return found
    raise AssertionError(f"no class is called {name}")


def build(value: object) -> Any:
    """Plain data as constructor arguments: lists become tuples, ``{$: Name, ...}`` an object of that class."""
    if isinstance(value, list):
        return tuple(build(one) for one in value)
    if isinstance(value, dict):
        plain = {name: build(one) for name, one in value.items() if name not in ("$", "args")}
        if "$" not in value:
            return plain
        for package in (installers.core.facts, installers.core.resources):
            try:
                cls = class_named(package, value["$"])
            except AssertionError:
                continue
            return cls(*build(value.get("args", [])), **plain)
        raise AssertionError(f"no class is called {value['$']}")
    return value


def fact_of(row: Mapping[str, Any]) -> Any:
    """``{fact: Name, with: {...}}`` as the fact."""
    return class_named(installers.core.facts, row["fact"])(**build(row.get("with", {})))


def value_of(fact: Any, plain: object) -> Any:
    """Plain data as a value of the type the fact's ``load`` says; ``{unknown: reason}`` is Unknown."""
    if isinstance(plain, dict) and set(plain) == {"unknown"}:
        return Unknown(plain["unknown"])
    hints = typing.get_type_hints(type(fact).load)["return"]
    parts = [part for part in typing.get_args(hints) or (hints,) if part is not Unknown]
    if isinstance(hints, types.UnionType):
        wanted: Any = parts[0]
        for part in parts[1:]:
            wanted = wanted | part
    else:
        wanted = hints
    return msgspec.convert(plain, wanted)


def plain(value: object) -> Any:
    """A value as the plain data a case writes."""
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    return msgspec.json.decode(msgspec.json.encode(value))


class RecordedProbe:
    """Answers from a case's recording and from nothing else; what was not recorded does not exist."""

    def __init__(self, files: Mapping[str, Any], queries: list[Mapping[str, Any]]) -> None:
        self._files = {path: _node(entry) for path, entry in {**NOW, **files}.items()}
        for path in list(self._files):
            while (path := path.rpartition("/")[0]) and path not in self._files:
                self._files[path] = {"type": "directory", "mode": 0o755}
        self._queries = {(row["name"], tuple(row["args"])): row for row in queries}
        self.asked: list[Query] = []

    def _entry(self, path: str) -> dict[str, Any]:
        if path not in self._files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self._files[path]

    def read(self, path: str) -> bytes:
        text = self._entry(path)["text"]
        return text if isinstance(text, bytes) else text.encode()

    def stat(self, path: str) -> Stat | None:
        entry = self._files.get(path)
        if entry is None:
            return None
        kind = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "link": stat.S_IFLNK, "socket": stat.S_IFSOCK}
        size = len(self.read(path)) if entry["type"] == "file" else 0
        return Stat(kind[entry["type"]] | entry["mode"], entry.get("uid", 0), entry.get("gid", 0), size, 1, 1)

    def listdir(self, path: str) -> tuple[str, ...]:
        inside = (name.removeprefix(f"{path}/") for name in self._files if name.startswith(f"{path}/"))
        return tuple(sorted({name.split("/")[0] for name in inside}))

    def readlink(self, path: str) -> str:
        return str(self._entry(path)["to"])

    def digest(self, path: str) -> str:
        return hashlib.sha256(self.read(path)).hexdigest()

    def free_bytes(self, path: str) -> int:
        return 5 << 30

    def query(self, query: Query) -> Output:
        self.asked.append(query)
        row = self._queries.get((query.name, query.args))
        assert row is not None, f"not recorded: {query}; recorded are {sorted(self._queries)}"
        return Output(row.get("code", 0), row.get("stdout", ""), row.get("stderr", ""))

    def objects(self, kind: Kind) -> tuple[Object, ...]:
        raise ClusterAbsent("no cluster in a fact case")


def _node(entry: object) -> dict[str, Any]:
    """``text`` alone is a plain file; a mapping says type, mode, uid, gid, text, to."""
    if isinstance(entry, dict):
        assert set(entry) <= {"type", "mode", "uid", "gid", "text", "to"}, entry
        return {"type": "file", "mode": 0o644, **entry}
    return {"type": "file", "mode": 0o644, "text": entry}
