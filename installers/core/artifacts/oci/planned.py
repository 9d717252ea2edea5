"""An image of a registry as something the cache, the ledger and depots know: a recipe with nothing to make."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from installers.core.artifacts.recipes import Planned, Recipe
from installers.core.artifacts.reference import names, pinned_as, without_digest

_FORMAT = 1
"""Raised when the same image would become another archive."""

FOLDER = "images"
"""What the names of all of them begin with; no component's folder is called so."""


def served(reference: str, digest: str, arch: str) -> Planned:
    """The archive of an image for one architecture (Debian's word).

    ``digest``: the one somebody vouches for where the reference has none, "" while nobody does: such an archive
    is never there. It carries every name a runtime looks for: where the reference has a digest of its own also that
    without the tag.
    """
    found = names(reference)
    recipe = Recipe(title=without_digest(reference), base="scratch", reference=found[0], aliases=found[1:])
    inputs = (_FORMAT, arch, found, pinned_as(reference, digest))
    key = hashlib.sha256(msgspec.json.encode(inputs)).hexdigest()
    # No colons: a bundle's files may lie on a stick whose file system has none.
    name = f"{FOLDER}/{without_digest(reference).replace(':', '-')}"
    return Planned(name, Path(), recipe, key, (), ())
