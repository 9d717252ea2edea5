"""Loading a component's folder: its manifest, its resources, its recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.resources import files

from installers.core.artifacts.index import Index
from installers.core.artifacts.recipes import Planned, plan
from installers.core.component.manifest import Edition, Manifest, parse
from installers.core.component.values import Values
from installers.core.model import Resource
from installers.site import Site

Resources = Callable[[Site, Values], Iterable[Resource]]


@dataclass(frozen=True, slots=True)
class Component:
    """A system: ``path`` is its folder below ``installers``, ``name`` the folder's own name.

    ``edition``: what it is made of here; empty where it does not exist in the edition asked for.
    """

    path: str
    manifest: Manifest
    edition: Edition
    resources: Resources
    manifests: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def requires(self) -> tuple[str, ...]:
        """What it comes after, here."""
        return (*self.manifest.requires, *self.edition.requires)

    def text(self, name: str) -> str:
        """A file of its folder as text, for manifests that carry one."""
        return files("installers").joinpath(self.path, name).read_text()

    def recipe(self, name: str, *, release: str, arch: str, among: Index | None = None) -> Planned:
        """One of its recipes by folder name, with the key of what it makes ``among`` an index's artifacts."""
        return plan(f"{self.path}/{name}", release=release, arch=arch, among=among)


def _none(site: Site, values: Values) -> Iterable[Resource]:
    """What a component without install.py puts on the host."""
    return ()


@cache
def load(path: str, edition: str, kube: str = "") -> Component:
    """The component in ``installers/PATH`` in an edition, with an engine; ``FileNotFoundError`` when there is none."""
    package = f"installers.{path.replace('/', '.')}"
    folder = files("installers").joinpath(path)
    manifest = parse(folder.joinpath("component.yaml").read_bytes())
    resources: Resources = _none
    if folder.joinpath("install.py").is_file():
        resources = import_module(f"{package}.install").resources
    # Beside what every edition applies, an edition may have objects of its own.
    directories = (folder.joinpath("manifests"), folder.joinpath("manifests", edition or "-"))
    manifests = [
        (entry.name, entry.read_text())
        for directory in directories
        if directory.is_dir()
        for entry in sorted(directory.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    ]
    return Component(
        path, manifest, manifest.edition(edition, kube) or Edition(version=""), resources, tuple(manifests)
    )
