"""The gate: linters, types, floors, sizes, the catalogue and the docs are tests like any other."""

from __future__ import annotations

import ast
import importlib.util
import re
import string
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from installers.core.errors import catalogue

ROOT = Path(__file__).parents[2]
PACKAGES = ("olares_cli", "olaresd", "installers")
SOURCES = tuple(sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")))
TESTS = tuple(sorted((ROOT / "tests").rglob("*.py")))
CATALOGUES = tuple(sorted((ROOT / "installers/core/catalogue").glob("*.toml")))

FILE_LINES, FUNCTION_LINES = 500, 60
ID = re.compile(r"OLR-[A-Z0-9]+-\d{3}")
VAGUE = frozenset({"utils", "util", "helpers", "helper", "common", "misc"})


def tool(*argv: str) -> None:
    """Run one of the gate's tools and show all it says when it objects."""
    done = subprocess.run(
        [sys.executable, "-m", *argv], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"


@pytest.mark.processes
def test_ruff() -> None:
    tool("ruff", "check", "--quiet", "--output-format=concise", ".")


@pytest.mark.processes
def test_format() -> None:
    tool("ruff", "format", "--quiet", "--diff", ".")


@pytest.mark.processes
@pytest.mark.timeout(180)  # without mypy's cache, on a busy machine; some seconds with it
def test_types() -> None:
    tool("mypy")
    tool("mypy", "docs/generate.py")


@pytest.mark.processes
@pytest.mark.timeout(60)
def test_floors() -> None:
    tool("importlinter.cli", "lint")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def trees(paths: tuple[Path, ...]) -> Iterator[tuple[str, ast.Module]]:
    for path in paths:
        yield relative(path), tree_of(path)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below that can hold a function's definition: no expressions, which are most of a tree."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield child
            yield from statements(child)


def test_no_file_is_too_long() -> None:
    long = {
        relative(path): count for path in (*SOURCES, *TESTS) if (count := path.read_text().count("\n")) > FILE_LINES
    }
    assert not long, f"more than {FILE_LINES} lines"


def test_no_function_is_too_long() -> None:
    long = {
        f"{relative(path)}:{node.lineno} {node.name}": lines
        for path in (*SOURCES, *TESTS)
        for node in statements(tree_of(path) if path in SOURCES else ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert not long, f"more than {FUNCTION_LINES} lines"


def test_names_say_something() -> None:
    assert not [relative(path) for path in (*SOURCES, *TESTS) if path.stem in VAGUE]


def test_only_the_roof_exits_or_prints() -> None:
    wrong = []
    for name, tree in trees(SOURCES):
        if name.startswith("olares_cli/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                call = f"{node.value.id}.{node.attr}"
                if call in ("sys.exit", "os._exit", "traceback.print_exc"):
                    wrong.append(f"{name}:{node.lineno} {call}")
    assert [place for place in wrong if not allowed_to_exit(place)] == []


def allowed_to_exit(place: str) -> bool:
    """Programs of their own: the daemon, and what runs as a pod's or a gate's own process."""
    return place.startswith("olaresd/") or "/image/" in place or "/__main__.py:" in place


def test_every_id_is_explained_once() -> None:
    written = Counter(id for file in CATALOGUES for id in tomllib.loads(file.read_text()))
    assert [id for id, count in written.items() if count > 1 or not ID.fullmatch(id)] == []
    for id, entry in catalogue().items():
        assert "\n" not in entry.what + entry.next, f"{id}: one line each"
        assert all(text.strip() for text in (entry.what, entry.next, entry.why)), id
        assert not fields(entry.why), f"{id}: `why` is shown without fields"


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@cache
def used() -> tuple[tuple[str, str, set[str] | None], ...]:
    """Every id in the sources: where, and the fields given beside it where that can be read off."""
    return tuple(_used())


def _used() -> Iterator[tuple[str, str, set[str] | None]]:
    for name, tree in trees(SOURCES):
        given: dict[int, set[str] | None] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.id if isinstance(node.func, ast.Name) else ""
                words = {word.arg for word in node.keywords}
                known = called in ("Failure", "Refused") and None not in words
                words |= {"kind"} if called == "Refused" else set()
                given[id(node.args[0])] = {word for word in words if word} if known else None
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and ID.fullmatch(node.value):
                yield node.value, f"{name}:{node.lineno}", given.get(id(node))


def test_every_failure_is_in_the_catalogue_and_brings_its_fields() -> None:
    entries = catalogue()
    wrong = []
    for id, place, given in used():
        if id not in entries:
            wrong.append(f"{place}: {id} is not in the catalogue")
        elif given is not None and (missing := fields(entries[id].what + entries[id].next) - given):
            wrong.append(f"{place}: {id} lacks {', '.join(sorted(missing))}")
    assert not wrong, "\n".join(wrong)


def test_every_entry_of_the_catalogue_is_used() -> None:
    found = {id for id, _, _ in used()}
    for path in ROOT.glob("installers/**/*.yaml"):
        found |= set(ID.findall(path.read_text()))
    assert sorted(set(catalogue()) - found) == []


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    module = generator()
    stale = [n for n, text in module.pages().items() if (module.REFERENCE / n).read_text() != text]
    assert not stale, "run: python docs/generate.py"


@pytest.mark.processes
def test_help_loads_nothing_heavy() -> None:
    heavy = (
        "rich",
        "yaml",
        "tuf",
        "backports",
        "lightkube",
        "cryptography",
        "paramiko",
        "jinja2",
        "asyncio",
        "installers.install",
    )
    program = (
        "import sys\nfrom olares_cli import app\napp.run(['--help'])\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\nsys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
