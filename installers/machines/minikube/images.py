"""What images an archive holds, read from its own table of contents."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from installers.core.errors import Failure

NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""Annotations that name an image in an OCI layout, the whole name first."""

LIMIT = 4 << 20
"""Bytes a table of contents may have."""


def archive_tags(path: str) -> tuple[str, ...]:
    """The full tags of the images in an archive of ``docker save`` or an OCI layout.

    Raises ``Failure("OLR-MINI-015")``.
    """
    try:
        with tarfile.open(path) as archive:
            rows = _member(archive, "manifest.json")
            if rows is not None:
                tags = [tag for row in rows for tag in row.get("RepoTags") or ()]
            else:
                index = _member(archive, "index.json") or {}
                notes = [row.get("annotations") or {} for row in index.get("manifests", ())]
                tags = [next((note[name] for name in NAMES if name in note), "") for note in notes]
    except (OSError, tarfile.TarError, ValueError, AttributeError) as error:
        raise Failure("OLR-MINI-015", archive=path, why=str(error) or type(error).__name__) from error
    full = tuple(sorted({full_tag(tag) for tag in tags if tag}))
    if not full:
        raise Failure("OLR-MINI-015", archive=path, why="no image in it has a name")
    return full


def _member(archive: tarfile.TarFile, name: str) -> Any:
    """A JSON file of the archive, None when it is not in it."""
    try:
        member = archive.getmember(name)
    except KeyError:
        return None
    file = archive.extractfile(member)
    return json.loads(file.read(LIMIT)) if file else None


def full_tag(tag: str) -> str:
    """A tag as containerd lists it: with its registry and a version (the rules of Docker's short names)."""
    first, slash, _ = tag.partition("/")
    if not slash:
        tag = f"docker.io/library/{tag}"
    elif not ("." in first or ":" in first or first == "localhost"):
        tag = f"docker.io/{tag}"
    return tag if ":" in tag.rpartition("/")[2] or "@" in tag else f"{tag}:latest"


def absolute(path: str) -> str:
    """A user's path as the one minikube, which runs in another directory, is to open."""
    return str(Path(path).expanduser().resolve())
