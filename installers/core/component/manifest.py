"""What a component's folder says about itself: ``component.yaml``, read strictly."""

from __future__ import annotations

from typing import Any

import msgspec

from installers.core.model import Footprint


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


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``component.yaml``. ``data``: "keep" when its volumes hold user data, else "none".

    images: names of image recipes (``image/NAME.yaml`` or ``image/recipe.yaml`` for the component's own
    name). builds: the same for programs built from source (``build/recipe.yaml``). publishes: values
    other components may use. binaries: files of builds that go onto the host, path by ``build:file``.
    """

    title: str
    summary: str
    version: str
    phase: str
    requires: tuple[str, ...] = ()
    provides: dict[str, Provided] = {}
    artifacts: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    data: str = "none"
    publishes: dict[str, str] = {}
    health: Health = Health()
    footprint: Footprint = Footprint()
    substitute: Substitute | None = None


def parse(text: bytes) -> Manifest:
    """A component's manifest; raises ``msgspec.ValidationError`` naming the field that is wrong."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return msgspec.convert(yaml.load(text, Loader=loader), Manifest)  # noqa: S506 (a safe loader)
