"""A publisher and a small depot of theirs, made anew for each test."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import pytest

# Now and not in a test: a library it brings along tries out a socket when it is imported.
import installers.core.artifacts.depot.client  # noqa: F401
from installers.core.artifacts.depot.contents import Contents, For
from installers.core.artifacts.depot.keys import Publisher, publisher
from installers.core.artifacts.depot.open import nothing
from installers.core.artifacts.depot.publish import sign
from installers.core.facts.artifacts import Built, BuiltFile
from installers.site import Paths

CONTENTS = Contents(
    edition="debian",
    engine="kubernetes",
    family="debian",
    release="bookworm",
    architecture="amd64",
    components=("containerd", "etcd"),
    made="2026-11-22T12:00:00Z",
    by="0.1.0",
)
HOST = For("debian", "bookworm", "amd64", "kubernetes", "debian")
KEY = "ab" * 32
IMAGE = b"an image\n" * 1000


@dataclass(frozen=True)
class Workplace:
    """Where a publisher works, and a host that gets what they made."""

    folder: Path
    publisher: Publisher
    paths: Paths

    @property
    def depot(self) -> Path:
        return self.folder / "depot"

    @property
    def trust(self) -> str:
        return self.publisher.fingerprint


def fill(depot: Path, contents: Contents = CONTENTS) -> None:
    """The files of a small depot, not signed yet."""
    image = "7c" * 32
    file = BuiltFile("image.tar", digest_of(IMAGE), len(IMAGE), f"sha256:{image}")
    built = Built("apps/x/image", KEY, (file,), 1.0, 2.0)
    files = {
        "contents.json": msgspec.json.encode(contents),
        f"built/apps-x-image-{KEY[:16]}/image.tar": IMAGE,
        f"ledger/apps-x-image-{KEY[:16]}.json": json.dumps(asdict(built)).encode(),
        "fetched/0123456789abcdef-tool.tgz": b"a tool",
        "apt/Packages": b"Package: hello\n",
        "apt/Release": b"Suite: olares\n",
        "apt/hello_2.10-3_amd64.deb": b"!<arch>\n",
    }
    for name, content in files.items():
        path = depot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    paths = Paths(state=str(tmp_path / "state"), cache=str(tmp_path / "cache"))
    made = Workplace(tmp_path, publisher(tmp_path / "keys"), paths)
    fill(made.depot)
    sign(made.depot, made.publisher, nothing)
    return made
