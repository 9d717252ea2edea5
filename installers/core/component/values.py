"""What a component's resources and manifests may draw on: values that components publish, and their images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from installers.core.artifacts.index import Pinned
from installers.core.artifacts.recipes import Planned
from installers.core.model import Secret


@dataclass(frozen=True, slots=True)
class Platform:
    """What recipes depend on: the code name of what they are made of, and Debian's word for the architecture."""

    release: str
    arch: str


@dataclass(frozen=True, slots=True)
class Values:
    """Values for one component. ``images``: reference by recipe name. ``published``: by component and name.

    ``opens``: the TCP ports of all components that other computers come in by.
    ``builds``: planned recipes of programs by name, for resources that put their files on the host.
    ``releases``: files of upstream releases by name, for the same. ``archives``: images of registries that a
    bundle brings for all components, where no containerd of ours is there to import them.
    """

    platform: Platform
    images: Mapping[str, str] = field(default_factory=dict)
    builds: Mapping[str, Planned] = field(default_factory=dict)
    releases: Mapping[str, Pinned] = field(default_factory=dict)
    archives: tuple[Planned, ...] = ()
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    opens: tuple[int, ...] = ()

    def secret(self, name: str, encoding: str = "plain") -> str:
        """A reference to a secret, to be written into text; only the host fills it in."""
        return str(Secret(name, encoding))
