"""References of images that a registry serves: ``name:tag``, or ``name:tag@sha256:…`` once a digest is known."""

from __future__ import annotations

from dataclasses import dataclass

MARK = "@sha256:"


@dataclass(frozen=True, slots=True)
class Name:
    """A reference in its parts. ``digest``: ``sha256:…``, "" where it has none."""

    registry: str
    repository: str
    tag: str
    digest: str


def parts(reference: str) -> Name:
    """A reference with its registry in front, as all of this project have it."""
    place, _, digest = reference.partition("@")
    registry, _, path = place.partition("/")
    repository, _, tag = path.partition(":")
    return Name(registry, repository, tag, digest)


def is_pinned(reference: str) -> bool:
    """Whether it names the bytes of an image, whatever its registry says the tag means today."""
    return MARK in reference


def pinned_as(reference: str, digest: str) -> str:
    """A reference with a digest that somebody vouches for; its own counts where it has one, ``digest`` may be ""."""
    return reference if is_pinned(reference) or not digest else f"{reference}@{digest}"


def without_digest(reference: str) -> str:
    """The name a person calls it by, ``name:tag``."""
    return reference.partition("@")[0]


def without_tag(reference: str) -> str:
    """A pinned reference as containerd keeps it, ``name@sha256:…``; any other as it is.

    containerd drops the tag where there is a digest, and compares its own setting with what is left.
    """
    name, mark, digest = reference.partition(MARK)
    place, slash, last = name.rpartition("/")
    return f"{place}{slash}{last.partition(':')[0]}{mark}{digest}" if mark else reference


def names(reference: str) -> tuple[str, ...]:
    """The names under which a runtime has to have it: the one it looks for first."""
    return tuple(dict.fromkeys((without_tag(reference), without_digest(reference))))
