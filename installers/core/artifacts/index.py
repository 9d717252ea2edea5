"""The index: every fetched file by name, with version, size and digests. Trust is the digest."""

from __future__ import annotations

import platform
from enum import StrEnum
from functools import cache

import msgspec

from installers.core.artifacts.inuse import text
from installers.core.errors import Failure
from installers.core.host.documents import document


class Registry(StrEnum):
    """Which client knows where a package lies."""

    PYPI = "pypi"
    NPM = "npm"
    RELEASE = "release"
    """The project's own site: a file of ``upstream.yaml``."""


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file inside an artifact: its path there, and its own digest and size in bytes."""

    path: str
    sha256: str
    size: int


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a package. ``size`` in bytes, 0: unknown; ``integrity`` is npm's sha512 in its own notation."""

    file: str
    size: int
    sha256: str
    package: str = ""
    integrity: str = ""
    members: dict[str, Member] = {}


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One package: where it is registered, its version, and a file per architecture or for ``all``."""

    registry: Registry
    version: str
    files: dict[str, File]
    why: str = ""


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    artifacts: dict[str, Artifact]


class Pinned(msgspec.Struct, frozen=True):
    """An artifact as it is for one architecture. ``url``: where its project has it, for files of releases."""

    name: str
    registry: Registry
    package: str
    version: str
    file: File
    url: str = ""

    @property
    def entry(self) -> str:
        """Its place below the cache; content decides the name, so versions live side by side."""
        return f"fetched/{self.file.sha256[:16]}-{self.file.file}"

    def member(self, name: str) -> Member:
        """A pinned member by its short name; ``KeyError`` when the index has none."""
        return self.file.members[name]


def parse_index(text: str) -> Index:
    """An index from YAML; unknown keys and wrong types are refused by ``msgspec.ValidationError``."""
    return msgspec.convert(document(text), Index, strict=True)


@cache
def index(place: str = "") -> Index:
    """The signed index in a folder, "": the one this program was shipped with."""
    return parse_index(text("index.yaml", place))


_DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """This machine's architecture in Debian's words."""
    machine = platform.machine()
    return _DEBIAN_NAMES.get(machine, machine)


def pinned(name: str, *, arch: str = "", among: Index | None = None) -> Pinned:
    """An artifact for an architecture (default: this machine's). ``OLR-ART-001`` where there is none."""
    arch = arch or architecture()
    artifact = (among or index()).artifacts.get(name)
    files = artifact.files if artifact else {}
    file = files.get(arch) or files.get("all")
    if artifact is None or file is None:
        raise Failure("OLR-ART-001", artifact=name, arch=arch)
    return Pinned(name, artifact.registry, file.package or name, artifact.version, file)
