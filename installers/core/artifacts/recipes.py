"""Recipes: what an image or a program is made of. A key over all of it names the result."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from installers.core.artifacts.index import Index, Pinned, pinned
from installers.core.errors import Failure
from installers.core.host.documents import document

ROOT = Path(__file__).parents[2]
"""The folder recipe names are relative to: the package that holds all components."""

BASE = "core/artifacts/base"
"""The recipe of the root all Debian-based ones start from."""

DEBIAN = "bookworm"
"""The release of Debian that recipes are made of on every Debian: the last with the whole source of Kubernetes.
An image then holds the same versions everywhere, and a cache serves computers of several releases."""

_FORMAT = 1
"""Raised when building the same recipe would give something else. Keys leave defaults out: a new field keeps them."""


class FromArtifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file, or with a trailing ``/`` a tree, taken out of a fetched package.

    ``member``: its path there; "" is the package's file itself; ``*`` unpacks a wheel as pip would
    lay it out. ``mode``: octal, of a single file.
    """

    artifact: str
    to: str
    member: str = ""
    mode: int = 0o644


class FromFolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file beside the recipe, or with a trailing ``/`` a folder; ``mode``: octal, of files."""

    file: str
    to: str
    mode: int = 0o644


class FromRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file another recipe makes."""

    recipe: str
    file: str
    to: str
    mode: int = 0o755


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which lines of the commands' output count as steps, and how many there will be."""

    pattern: str
    total: int
    unit: str = "packages"


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How something is made in a throw-away root.

    It makes an image when ``reference`` is set (``aliases``: its other names), else the files
    ``outputs`` names below ``/out``.
    ``from`` is ``debian`` (minimal) or ``scratch``. In this order: ``packages``
    are installed, ``sources`` (Debian source packages) fetched to ``/src``, files laid, ``commands``
    run, each an argument list; the recipe's folder is seen at ``/recipe``. ``disk``: MiB needed
    while it is made. ``minutes``: how long all commands may take.
    """

    title: str
    base: Literal["debian", "scratch"] = msgspec.field(name="from", default="debian")
    reference: str = ""
    aliases: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    artifacts: tuple[FromArtifact, ...] = ()
    files: tuple[FromFolder, ...] = ()
    uses: tuple[FromRecipe, ...] = ()
    links: dict[str, str] = {}
    commands: tuple[tuple[str, ...], ...] = ()
    progress: Progress | None = None
    env: dict[str, str] = {}
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    disk: int = 1024
    minutes: int = 30

    @property
    def makes(self) -> tuple[str, ...]:
        """The names of what it makes: its outputs, or one image archive."""
        return self.outputs or (IMAGE,)


IMAGE = "image.tar"
"""The one output of a recipe that makes an image: an OCI archive."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A recipe with all it is made of. ``name``: its folder below ``ROOT``; ``key``: sha256 in hex."""

    name: str
    folder: Path
    recipe: Recipe
    key: str
    pins: tuple[Pinned, ...]
    uses: tuple[Planned, ...]


@cache
def parse_recipe(text: str, *, name: str) -> Recipe:
    """A recipe from YAML, checked as far as can be without its inputs. ``OLR-ART-011`` otherwise.

    Read once: a plan comes to the same recipe from every other that uses it.
    """
    import yaml

    try:
        recipe = msgspec.convert(document(text), Recipe, strict=True)
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        raise Failure("OLR-ART-011", recipe=name, reason=error) from error
    reason = _wrong(recipe)
    if reason:
        raise Failure("OLR-ART-011", recipe=name, reason=reason)
    return recipe


def _wrong(recipe: Recipe) -> str:
    if bool(recipe.reference) == bool(recipe.outputs):
        return "it makes an image (`reference`) or files (`outputs`), one of both"
    if recipe.base == "scratch" and (recipe.packages or recipe.sources or recipe.commands or recipe.outputs):
        return "from scratch there is nothing to install with or to run"
    laid: tuple[FromArtifact | FromFolder | FromRecipe, ...] = (*recipe.artifacts, *recipe.files, *recipe.uses)
    places = [*(row.to for row in laid), *recipe.links]
    bad = next((place for place in places if not place.startswith("/") or ".." in place.split("/")), "")
    if bad:
        return f"{bad} is not an absolute path"
    bad = next((name for name in recipe.outputs if not re.fullmatch(r"[\w.-]+", name) or name.startswith(".")), "")
    return f"{bad} is not a plain file name" if bad else ""


def made_of(id: str, codename: str) -> str:
    """The release recipes are made of on a host with this id and code name in os-release."""
    return DEBIAN if id == "debian" else codename


def plan(name: str, *, release: str, arch: str, root: Path = ROOT, among: Index | None = None) -> Planned:
    """Read a recipe and everything it names. ``release``: of what it is made of, ``arch``: Debian's word.

    ``among``: the index its artifacts are looked up in, by default the program's own.
    """
    return _plan(name, release=release, arch=arch, root=root, among=among, above=())


def _plan(name: str, *, release: str, arch: str, root: Path, among: Index | None, above: tuple[str, ...]) -> Planned:
    if name in above:
        raise Failure("OLR-ART-011", recipe=name, reason=f"it uses itself: {' → '.join((*above, name))}")
    folder = root / name
    path = folder / "recipe.yaml"
    try:
        recipe = parse_recipe(path.read_text(), name=name)
        copied = [(row.file, _content(folder / row.file)) for row in recipe.files]
        scripts = _scripts(folder) if recipe.commands else []
    except FileNotFoundError as error:
        raise Failure("OLR-ART-011", recipe=name, reason=f"{error.filename} is missing") from error
    pins = tuple(pinned(one, arch=arch, among=among) for one in dict.fromkeys(row.artifact for row in recipe.artifacts))
    used = list(dict.fromkeys(row.recipe for row in recipe.uses))
    if recipe.base == "debian" and name != BASE:
        used.insert(0, BASE)
    above = (*above, name)
    uses = tuple(
        _plan(one, release=release, arch=arch, root=_root(one, root), among=among, above=above) for one in used
    )
    for row in recipe.uses:
        if row.file not in uses[used.index(row.recipe)].recipe.makes:
            raise Failure("OLR-ART-011", recipe=name, reason=f"{row.recipe} makes no {row.file}")
    inputs = (
        *(_FORMAT, release, arch, name, msgspec.json.encode(recipe).decode()),
        *(copied, scripts, [pin.file.sha256 for pin in pins], [one.key for one in uses]),
    )
    key = hashlib.sha256(msgspec.json.encode(inputs)).hexdigest()
    return Planned(name, folder, recipe, key, pins, uses)


def _root(name: str, root: Path) -> Path:
    """The base lies with this program also when a test's recipes lie elsewhere."""
    return root if (root / name).is_dir() else ROOT


def _scripts(folder: Path) -> list[tuple[str, str]]:
    """What commands can see at ``/recipe``, the recipe itself aside: its meaning is in the key already."""
    files = (path for path in folder.iterdir() if path.is_file() and path.name != "recipe.yaml")
    return sorted((path.name, _content(path)) for path in files)


def _content(path: Path) -> str:
    """One digest over a file, or over a folder's paths, permissions and files."""
    if path.is_dir():
        rows = [(str(p.relative_to(path)), _content(p)) for p in sorted(path.rglob("*")) if p.is_file() and _ours(p)]
        return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _ours(path: Path) -> bool:
    return "__pycache__" not in path.parts
