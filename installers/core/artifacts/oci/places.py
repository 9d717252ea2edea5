"""Where the images of a registry are asked for: at its mirrors in the order olares.yaml has them, then at itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from urllib.parse import quote, urlsplit

from installers.core.artifacts.reference import Name
from installers.core.host.documents import document
from installers.site import Registry


@dataclass(frozen=True, slots=True)
class Place:
    """One repository at one address. ``base``: its address in the registry's API; ``query``: what follows each path."""

    base: str
    query: str = ""

    @property
    def name(self) -> str:
        """For messages: the host that is asked."""
        return urlsplit(self.base).netloc

    @property
    def sealed(self) -> bool:
        """Whether nobody on the way can say something else."""
        return self.base.startswith("https://")

    def manifest(self, what: str) -> str:
        """``what``: a tag or a digest."""
        return f"{self.base}/manifests/{what}{self.query}"

    def blob(self, digest: str) -> str:
        return f"{self.base}/blobs/{digest}{self.query}"

    def has(self, url: str) -> bool:
        return url.startswith(f"{self.base}/")


def places_of(name: Name, registries: Iterable[Registry]) -> tuple[tuple[Place, ...], str]:
    """The places of an image's repository, and the file with the authority its mirrors are believed by ("" for none).

    As containerd does it: the path of a mirror is where its API begins, and it is told whose image is meant.
    """
    mirrors = next((one for one in registries if one.name == name.registry), Registry(name.registry, ()))
    origin = _hosts().get(name.registry, name.registry)
    found = []
    for mirror in mirrors.mirrors:
        url = mirror.rstrip("/")
        api = url if urlsplit(url).path else f"{url}/v2"
        found.append(Place(f"{api}/{name.repository}", f"?ns={quote(name.registry, safe='')}"))
    return (*found, Place(f"https://{origin}/v2/{name.repository}")), mirrors.ca


@cache
def _hosts() -> Mapping[str, str]:
    text = resources.files("installers.core.artifacts.oci").joinpath("hosts.yaml").read_text()
    found: Mapping[str, str] = document(text)
    return found
