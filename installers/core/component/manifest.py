"""What a component's folder says about itself: ``component.yaml``, read strictly."""

from __future__ import annotations

import msgspec

from installers.core.artifacts.reference import is_pinned
from installers.core.host.documents import document


class Substitute(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"stands_for": "for"}):
    """A system that stands in for another which the source does not carry, and what it cannot do."""

    name: str
    stands_for: str
    lacks: tuple[str, ...] = ()


class SecretSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A secret generated once at apply. ``keep``: it opens user data and outlives an uninstall."""

    name: str
    length: int = 32
    keep: bool = False


class Provided(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a Debian package brings that later decisions of the same plan rest on."""

    units: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class RolloutSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workload that must be rolled out before the component counts as running."""

    kind: str
    name: str
    namespace: str
    deadline: float = 180.0


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one sees that the component runs: its workloads. Units say so themselves."""

    rollouts: tuple[RolloutSpec, ...] = ()


class Edition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a component is made of in one edition: Debian's packages, or the upstream projects' releases.

    images: recipes of images we assemble (``image/recipe.yaml``). builds: the same for programs built
    from source. provides: what a Debian package brings. releases: files of upstream releases.
    references: images a registry serves, by the name the manifests know them by. health: what must be
    rolled out in this edition alone. version_of: the package whose version is the component's where it is
    installed; ``version`` names those that will do. requires: what it comes after in this edition, besides
    the component's own. engines: what it is made of with an engine that differs; nothing of the rest then
    counts. programs: what the host has to have, and the package each comes in by package manager (apt, dnf,
    zypper, pacman).
    """

    version: str
    version_of: str = ""
    provides: dict[str, Provided] = {}
    builds: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    references: dict[str, str] = {}
    health: Health = Health()
    substitute: Substitute | None = None
    requires: tuple[str, ...] = ()
    programs: dict[str, dict[str, str]] = {}
    engines: dict[str, Edition] = {}

    @property
    def by_version(self) -> tuple[str, ...]:
        """Images that are believed by their tag: no digest of them is known."""
        return tuple(one for one in self.references.values() if not is_pinned(one))


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``component.yaml``. ``data``: "keep" when its volumes hold user data, else "none".

    engines: the Kubernetes engines it belongs to; () means all. includes: systems it brings along, which
    count for the ``requires`` of others. opens: those of its ports that other computers come in by.
    publishes: values other components may use. debian, upstream: the editions it exists in; without the
    chosen one it is left out.
    """

    title: str
    summary: str
    phase: str
    engines: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    opens: tuple[int, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    data: str = "none"
    publishes: dict[str, str] = {}
    health: Health = Health()
    debian: Edition | None = None
    upstream: Edition | None = None

    def belongs_to(self, kube: str) -> bool:
        """Whether it is a part of installations with this engine."""
        return not self.engines or kube in self.engines

    def edition(self, name: str, kube: str = "") -> Edition | None:
        """What it is made of in an edition with an engine, None where it has no such."""
        found = {"debian": self.debian, "upstream": self.upstream}.get(name)
        return found and found.engines.get(kube, found)


def parse(text: bytes) -> Manifest:
    """A component's manifest; raises ``msgspec.ValidationError`` naming the field that is wrong."""
    return msgspec.convert(document(text), Manifest)
