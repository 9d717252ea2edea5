"""References of images that a registry serves: ``name:tag``, or ``name:tag@sha256:…`` once a digest is known."""

from __future__ import annotations

MARK = "@sha256:"


def is_pinned(reference: str) -> bool:
    """Whether it names the bytes of an image, whatever its registry says the tag means today."""
    return MARK in reference


def without_tag(reference: str) -> str:
    """A pinned reference as containerd keeps it, ``name@sha256:…``; any other as it is.

    containerd drops the tag where there is a digest, and compares its own setting with what is left.
    """
    name, mark, digest = reference.partition(MARK)
    place, slash, last = name.rpartition("/")
    return f"{place}{slash}{last.partition(':')[0]}{mark}{digest}" if mark else reference
