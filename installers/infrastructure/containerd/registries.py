"""Registry mirrors as containerd reads them: one hosts.toml a registry (containerd's docs/hosts.md, 1.5 to 2.x)."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Iterator

from installers.core.facts.files import sealed
from installers.site import Registry

FOLDER = "/etc/containerd/certs.d"
"""The value of ``config_path``. What lies below is read at each pull: no restart is needed after a change."""

NAME = "hosts.toml"


def hosts_files(registries: Iterable[Registry]) -> Iterator[tuple[str, str]]:
    """Path and content of each registry's hosts.toml."""
    for registry in registries:
        yield f"{FOLDER}/{_folder(registry.name)}/{NAME}", hosts_toml(registry)


def hosts_toml(registry: Registry) -> str:
    """The mirrors in their order; with no ``server``, the registry itself is asked last, wherever that is."""
    lines: list[str] = []
    for mirror in registry.mirrors:
        url = mirror.rstrip("/")
        # JSON's strings are TOML's basic strings for all that can stand in a site.
        lines += [f"[host.{json.dumps(url)}]", '  capabilities = ["pull", "resolve"]']
        if urllib.parse.urlsplit(url).path:
            lines.append("  override_path = true")
        if registry.ca:
            lines.append(f"  ca = {json.dumps(registry.ca)}")
        lines.append("")
    return sealed("\n".join(lines))


def _folder(name: str) -> str:
    """A registry's directory: of two names a port can have there, the one containerd looks for first."""
    host, colon, port = name.partition(":")
    return f"{host}_{port}_" if colon else name
