"""README and docs are executed: their commands are parsed by the real command line, their examples are built.

A fence says what is in it. ``sh``: commands, each classified; one that is not known fails. ``text``: output or
a fragment. A language and a path (``yaml installers/x/y.yaml``): a file of a worked example; the tests
below build these. ``yaml`` and ``sql`` alone are what a reader would write.
"""

from __future__ import annotations
import __future__

import functools
import importlib
import re
import shlex
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from installers.core.actions.base import BaseAction
from installers.core.component import manifest
from installers.core.component.codec import ActionCodec
from installers.core.component.load import Component, load
from installers.core.component.sitefile import parse_site
from installers.core.component.steps import Wanted, build_steps
from installers.core.component.values import Platform
from installers.core.errors import catalogue
from installers.core.model import Unknown
from installers.phases import PHASES
from installers.site import Paths, Site
from olares_cli import app
from olares_cli.recordings import RECORDING
from olares_cli.session import Code
from tests.unit.core import cases as case_files
from tests.unit.core import test_fact_cases, test_resource_cases
from tests.unit.core.engine.samples import sample

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs/reference"
PAGES = tuple(
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if GENERATED not in page.parents
)
DEVELOP = ROOT / "docs/develop.md"
ALONE = frozenset({"sh", "text", "yaml", "sql"})
"""What a fence may hold without naming a file."""

SAFE = frozenset({"explain", "version"})
"""Commands that read nothing of the machine: they are run, and must succeed."""

SYSTEM = frozenset({"apt-get", "scp", "ssh", "kubectl", "echo", "export"})
"""Programs of the system that docs may tell a reader to type."""

SKIPPED_PATHS = frozenset({"docs/", "build/wheelhouse"})


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line it begins at, language, the file it is of (or ""), and text."""

    page: str
    line: int
    language: str
    file: str
    text: str


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@functools.cache
def blocks() -> tuple[Block, ...]:
    found = []
    for page in PAGES:
        lines = page.read_text().splitlines()
        opened = None
        for number, line in enumerate(lines):
            if not line.lstrip().startswith("```"):
                continue
            if opened is None:
                opened = number
                continue
            language, _, file = lines[opened].strip().removeprefix("```").partition(" ")
            indent = len(lines[opened]) - len(lines[opened].lstrip())
            text = "".join(f"{inner[indent:]}\n" for inner in lines[opened + 1 : number])
            found.append(Block(name_of(page), opened + 1, language, file, text))
            opened = None
        assert opened is None, f"{name_of(page)}:{opened}: the fence is not closed"
    return tuple(found)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command of every ``sh`` block, with its place."""
    for block in blocks():
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    yield f"{block.page}:{block.line}", words


def test_every_block_says_what_it_is() -> None:
    wrong = [f"{b.page}:{b.line}" for b in blocks() if not b.file and b.language not in ALONE]
    assert not wrong


@pytest.mark.parametrize(
    ("place", "words"), [pytest.param(place, words, id=f"{place} {' '.join(words)}") for place, words in commands()]
)
def test_a_command_works(
    place: str,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    while re.fullmatch(r"[A-Z0-9_]+=\S+|sudo|--preserve-env=[a-z_,]+", words[0]):
        words = words[1:]
    program, *arguments = words
    if program == "olares-cli":
        parse(arguments)
        if arguments[0] in SAFE:
            assert app.run(arguments) == Code.FINE
            assert capsys.readouterr().out
        if "--from" in arguments:
            monkeypatch.chdir(tmp_path)
            (tmp_path / RECORDING).write_text((ROOT / "tests/data/hosts/debian-12-vm.yaml").read_text())
            assert app.run(arguments) in (Code.FINE, Code.BLOCKED)
            assert capsys.readouterr().out
    else:
        CHECKS[program](arguments)


def parse(arguments: Sequence[str]) -> None:
    """Refuse what the command line refuses: commands, options, phases, a program given to a machine's shell."""
    command: typing.Any = typer.main.get_command(app.build([row.name for row in app.COMMANDS]))
    context = command.make_context(app.NAME, list(arguments))
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)
    given = context.params
    phases = {phase.name for phase in PHASES}
    assert {*(given.get("phase") or ()), *(given.get("skip_phase") or ())} <= phases
    inner = list(given.get("argv") or ())
    if inner and inner[0] == "olares-cli":
        parse(inner[1:])
    elif inner:
        assert inner[0] in SYSTEM, inner


def known_to_make(arguments: Sequence[str]) -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):.*##", text, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+) [?:]?=", text, re.MULTILINE))
    assert {word for word in arguments if "=" not in word} <= targets
    assert {word.partition("=")[0] for word in arguments if "=" in word} <= variables


def known_to_pytest(arguments: Sequence[str]) -> None:
    missing = [word for word in arguments if word.startswith("tests/") and not (ROOT / word).exists()]
    assert not missing


def known_to_python(arguments: Sequence[str]) -> None:
    if arguments[0] == "-m":
        module = ROOT / arguments[1].replace(".", "/")
        assert module.with_suffix(".py").exists() or (module / "__main__.py").exists()
    else:
        assert arguments[0] == "bootstrap.py"


def sourced(arguments: Sequence[str]) -> None:
    assert list(arguments) == [".venv/bin/activate"]


def of_the_system(arguments: Sequence[str]) -> None:
    """Files of ours among its arguments exist."""
    ours = [word for word in arguments if word.startswith(("installers/", "tools/", "docs/", "tests/"))]
    assert not [word for word in ours if not (ROOT / word).exists()]


CHECKS: dict[str, Callable[[Sequence[str]], None]] = {
    "make": known_to_make,
    "pytest": known_to_pytest,
    "python": known_to_python,
    "python3": known_to_python,
    ".": sourced,
    **dict.fromkeys(SYSTEM, of_the_system),
}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"\n", " ", prose(page))):
        path, _, anchor = target.partition("#")
        assert "://" not in target, f"{target}: a link to outside needs a network"
        where = (page.parent / path) if path else page
        if not where.exists() or (anchor and anchor not in anchors(where)):
            broken.append(target)
    assert not broken


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_that_are_named_exist(page: Path) -> None:
    """``installers/…`` and the like, as they stand in the text; those of a worked example are new."""
    new = {block.file for block in blocks() if block.page == name_of(page)}
    named = re.findall(r"`((?:installers|olares_cli|olaresd|tests|docs|tools)/[\w./-]*)`", prose(page))
    assert not [path for path in named if not (ROOT / path).exists() and path not in new and path not in SKIPPED_PATHS]


def test_every_id_named_is_in_the_catalogue() -> None:
    named = {id for page in PAGES for id in re.findall(r"OLR-[A-Z]+-\d{3}", page.read_text())}
    assert named
    assert named <= set(catalogue())


def test_readme_is_short_and_names_every_substitute_path_and_exit_code() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") <= 150 or "<!-- transcript -->" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for path in (path for phase in PHASES for path in phase.components):
        if found := load(path, "debian").edition.substitute:
            (row,) = [row for row in rows if row.startswith(f"| {found.name} | {found.stands_for} |")]
            assert not [lack for lack in found.lacks if lack not in row]
    paths = Paths()
    for place, variable in (
        (paths.config, "OLARES_CONFIG"),
        (paths.state, "OLARES_STATE_DIR"),
        (paths.cache, "OLARES_CACHE_DIR"),
        (paths.logs, "OLARES_LOG_DIR"),
        (paths.run, "OLARES_RUN_DIR"),
    ):
        assert any(f"`{place}`" in row and f"`{variable}`" in row for row in rows), place
    codes = {int(first[1]) for row in rows if (first := re.match(r"\| (\d+) \|", row))}
    assert codes == set(map(int, Code))


def test_decisions_are_short_and_numbered_without_gaps() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages[1:]:
        assert page.read_text().count("\n") <= 25, page.name
        assert page.read_text().startswith("# ")


def test_configuration_examples_are_accepted() -> None:
    found = [b for b in blocks() if b.language == "yaml" and not b.file]
    assert found
    for block in found:
        _, problems = parse_site(block.text.encode(), path=block.page, names={})
        assert not problems


# the worked examples of docs/develop.md


def example(prefix: str) -> dict[str, str]:
    """Files of docs/develop.md below a folder, by path."""
    return {
        block.file: block.text
        for block in blocks()
        if block.page == name_of(DEVELOP) and block.file.startswith(prefix) and block.file
    }


def test_the_component_example_makes_the_steps_it_says(tmp_path: Path) -> None:
    files = example("installers/platform/memcached/")
    for name, text in files.items():
        path = tmp_path / name.removeprefix("installers/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder = tmp_path / "platform/memcached"
    said = manifest.parse((folder / "component.yaml").read_bytes())
    known = {path.rpartition("/")[2] for phase in PHASES for path in phase.components}
    assert set(said.requires) <= known
    assert said.phase in {phase.name for phase in PHASES}
    texts = tuple((path.name, path.read_text()) for path in (folder / "manifests").iterdir())
    # A recipe's name is a path below the package; an absolute one stands for itself.
    made_of = said.edition("debian")
    assert made_of
    component = Component(str(folder), _without_requires(said), made_of, lambda site, values: (), texts)
    steps = build_steps(
        [Wanted(component, said.phase)],
        Site(source="debian", edition="debian", kube="kubernetes"),
        Platform("bookworm", "amd64"),
    )
    keys = [step.resource.key for step in steps if step.phase == said.phase]
    assert "\n".join(keys) + "\n" in {b.text for b in blocks() if b.page == name_of(DEVELOP) and b.language == "text"}


def _without_requires(said: manifest.Manifest) -> manifest.Manifest:
    import msgspec

    return msgspec.structs.replace(said, requires=())


MODULES = ("facts", "actions", "resources")
"""Layers the resource example adds to, in the order in which they build on each other."""


def test_the_resource_example_passes_its_own_cases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    added: dict[str, type] = {}
    for layer in MODULES:
        module = importlib.import_module(f"installers.core.{layer}.packages")
        text = example(f"installers/core/{layer}/")[f"installers/core/{layer}/packages.py"]
        for name, value in {"Unknown": Unknown, **added}.items():
            monkeypatch.setattr(module, name, value, raising=False)
        flags = __future__.annotations.compiler_flag
        space = dict(vars(module))
        exec(compile(text, str(DEVELOP), "exec", flags=flags), space)  # noqa: S102 (text of our own docs)
        fresh = {name: value for name, value in space.items() if vars(module).get(name) is not value}
        for name, value in fresh.items():
            monkeypatch.setattr(module, name, value, raising=False)
        added |= {name: value for name, value in fresh.items() if isinstance(value, type)}
    kinds = [kind for kind in added.values() if issubclass(kind, BaseAction)]
    assert [sample(kind).kind for kind in kinds] == ["hold-packages", "release-packages"]
    monkeypatch.setattr(test_resource_cases, "CODEC", ActionCodec(kinds))
    monkeypatch.setattr(case_files, "DATA", tmp_path)
    checks = {"facts": test_fact_cases.test_fact, "resources": test_resource_cases.test_resource}
    ran = 0
    for name, text in example("tests/data/").items():
        path = tmp_path / name.removeprefix("tests/data/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        checks[path.parts[-3]](path.parent.name, path.stem)
        ran += 1
    assert ran == 3


def test_the_other_files_of_the_example_are_python() -> None:
    for path, text in example("tests/").items():
        if path.endswith(".py"):
            lines = text.splitlines()
            indent = len(lines[0]) - len(lines[0].lstrip())
            compile("\n".join(line[indent:] for line in lines), path, "exec")
            assert (ROOT / path).exists(), path
