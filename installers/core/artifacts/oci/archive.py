"""One image as an OCI archive: a tar of its manifest, configuration and layers, from the same image the same bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from installers.core.artifacts.oci.documents import INDEX, Descriptor

NAME = "io.containerd.image.name"
"""The annotation that containerd's import takes a whole name from; others know the second one."""

REF = "org.opencontainers.image.ref.name"


def index(manifest: Descriptor, arch: str, names: Sequence[str]) -> bytes:
    """index.json: the one manifest, once under each name."""
    row = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size}
    platform = {"architecture": arch, "os": "linux"}
    rows = [{**row, "annotations": {NAME: name, REF: name}, "platform": platform} for name in names]
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows})


def write(path: Path, index: bytes, blobs: Iterable[tuple[str, Path]]) -> None:
    """Write the archive. ``blobs``: sha256 in hex and the file of each, in order; one named twice is in it once."""
    # GNU's format has sizes beyond 8 GiB; nothing of this computer or of today is in it.
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", index)
        for sha256, file in dict(blobs).items():
            row = _row(f"blobs/sha256/{sha256}", file.stat().st_size)
            with file.open("rb") as content:
                archive.addfile(row, content)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_row(name, len(content)), io.BytesIO(content))


def _row(name: str, size: int) -> tarfile.TarInfo:
    row = tarfile.TarInfo(name)
    row.size, row.mode = size, 0o644
    return row
