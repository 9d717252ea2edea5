"""What registries say of an image: index, manifest and configuration, of OCI's and of Docker's kinds. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from installers.core.errors import Failure

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES, MANIFESTS = (INDEX, _LIST), (MANIFEST, DOCKER_MANIFEST)
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))

CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
LAYERS = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)
"""Layers that a registry has itself; those which it only points to ("foreign") are not among them."""

LIMIT = 4 << 20
"""Bytes a manifest or an index may have: what the distribution specification has registries accept."""

CONFIG_LIMIT = 16 << 20
MOST = 16 << 30
"""Bytes one layer may have at most."""

_VARIANTS = {"arm64": ("", "v8")}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What something is: its media type, ``sha256:…`` and size in bytes."""

    media_type: str
    digest: str
    size: int

    @property
    def sha256(self) -> str:
        return self.digest.removeprefix("sha256:")


def document(content: bytes, *, image: str) -> dict[str, Any]:
    """An index or a manifest; ``OLR-IMAGE-011`` for anything else."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unknown(image, "its manifest is no JSON document") from error
    if not isinstance(found, dict) or found.get("schemaVersion") != 2:
        raise _unknown(image, "its manifest is not of schema version 2")
    return found


def media_type(found: Mapping[str, Any], said: str) -> str:
    """What kind of document it is: its own word counts, and the server's where it has none, as OCI allows."""
    own = found.get("mediaType")
    return own if isinstance(own, str) and own else said.partition(";")[0].strip().lower()


def chosen(index: Mapping[str, Any], arch: str, *, image: str) -> Descriptor:
    """The manifest for an architecture; ``OLR-IMAGE-010`` where the index has none."""
    rows = index.get("manifests")
    offered: dict[str, Mapping[str, Any]] = {}
    for row in rows if isinstance(rows, list) else ():
        platform = row.get("platform") if isinstance(row, dict) else None
        if isinstance(platform, dict) and platform.get("os") == "linux":
            name = str(platform.get("architecture", ""))
            variant = str(platform.get("variant", ""))
            offered.setdefault(name if variant in _VARIANTS.get(name, ("",)) else f"{name}/{variant}", row)
    if arch not in offered:
        raise Failure("OLR-IMAGE-010", image=image, arch=arch, known=", ".join(sorted(offered)) or "none for Linux")
    found = _descriptor(offered[arch], image)
    if found.media_type not in MANIFESTS:
        raise _unknown(image, f"its index names a {found.media_type or 'thing without a kind'}")
    return found


def parts_of(manifest: Mapping[str, Any], *, image: str) -> tuple[Descriptor, tuple[Descriptor, ...]]:
    """Configuration and layers of a manifest; ``OLR-IMAGE-011`` where one is of a kind we do not know."""
    config, rows = _descriptor(manifest.get("config"), image), manifest.get("layers")
    layers = tuple(_descriptor(row, image) for row in rows) if isinstance(rows, list) else ()
    if config.media_type not in CONFIGS or config.size > CONFIG_LIMIT:
        raise _unknown(image, f"its configuration is a {config.media_type} of {config.size} bytes")
    for layer in layers:
        if layer.media_type not in LAYERS or layer.size > MOST:
            raise _unknown(image, f"one of its layers is a {layer.media_type} of {layer.size} bytes")
    if not layers:
        raise _unknown(image, "it has no layers")
    return config, layers


def require_platform(config: bytes, arch: str, *, image: str) -> None:
    """Whom the configuration says it is for; of a reference to one manifest nothing else does. ``OLR-IMAGE-010``."""
    try:
        found = msgspec.json.decode(config)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unknown(image, "its configuration is no JSON document") from error
    row = found if isinstance(found, dict) else {}
    if (row.get("os"), row.get("architecture")) != ("linux", arch):
        known = f"{row.get('os')} {row.get('architecture')}"
        raise Failure("OLR-IMAGE-010", image=image, arch=arch, known=known)


_CHALLENGE = re.compile(r'\s*,?\s*([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]*))')


def challenge(header: str) -> Mapping[str, str]:
    """The parameters of a Bearer challenge (RFC 6750), {} for any other and for one that names no realm."""
    scheme, _, rest = header.strip().partition(" ")
    found: dict[str, str] = {}
    if scheme.lower() == "bearer":
        found = {
            key.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain for key, quoted, plain in _CHALLENGE.findall(rest)
        }
    return found if found.get("realm", "").startswith(("http://", "https://")) else {}


def _descriptor(row: object, image: str) -> Descriptor:
    if isinstance(row, dict):
        kind, digest, size = row.get("mediaType", ""), row.get("digest"), row.get("size")
        right = isinstance(kind, str) and isinstance(digest, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
        if right and isinstance(digest, str) and type(size) is int and size >= 0:
            return Descriptor(str(kind), digest, size)
    raise _unknown(image, "it names a part without kind, sha256 or size")


def _unknown(image: str, reason: str) -> Failure:
    return Failure("OLR-IMAGE-011", image=image, reason=reason)
