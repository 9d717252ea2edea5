"""Kubeconfig files: from the file to what a connection needs."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from installers.core.errors import Failure
from installers.core.host.documents import document

if TYPE_CHECKING:
    import ssl

ADMIN = "/etc/kubernetes/admin.conf"
"""The file kubeadm leaves for root."""

K3S = "/etc/rancher/k3s/k3s.yaml"
"""The file K3s leaves for root."""

SUPER = "super-admin.conf"
"""What kubeadm leaves beside it since 1.29: the only one with any rights until a phase binds admin.conf's group."""


def in_force(path: str) -> Path:
    """The file to use for a kubeconfig: kubeadm's super-admin.conf beside it as long as that is there."""
    beside = Path(path).with_name(SUPER)
    return beside if beside.exists() else Path(path)


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is and who we are. Keys and tokens stay out of ``repr``."""

    server: str
    name: str
    authority: str = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    token: str = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.server)
        return parts.hostname or "", parts.port or 443

    def context(self) -> ssl.SSLContext:
        """TLS which trusts the cluster's own authority and nobody else."""
        import ssl

        context = ssl.create_default_context(cadata=self.authority or None)
        if self.certificate:
            with ExitStack() as held:
                context.load_cert_chain(*(_in_memory(held, pem) for pem in (self.certificate, self.key)))
        return context


def _in_memory(held: ExitStack, content: bytes) -> str:
    """A name under which OpenSSL can open bytes that must not touch a disk."""
    descriptor = os.memfd_create("olares")
    held.callback(os.close, descriptor)
    os.write(descriptor, content)
    return f"/proc/self/fd/{descriptor}"


def parse_kubeconfig(text: str, path: str) -> Access:
    """The current context's access; ``Failure("OLR-HOST-010")`` says what is missing."""
    import yaml

    try:
        config = document(text)
        context = _named(config, "context", config["current-context"])
        cluster = _named(config, "cluster", context["cluster"])
        user = _named(config, "user", context["user"])
        server = str(cluster["server"])
        if not server.startswith("https://"):
            raise ValueError(f"server {server} is not https")
        token = str(user.get("token", "")) or _content(user, "tokenFile", path).decode().strip()
        return Access(
            server=server,
            name=str(cluster.get("tls-server-name", "")),
            authority=_content(cluster, "certificate-authority", path).decode(),
            certificate=_content(user, "client-certificate", path),
            key=_content(user, "client-key", path),
            token=token,
        )
    except KeyError as missing:
        raise Failure("OLR-HOST-010", kubeconfig=path, reason=f"no {missing.args[0]}") from None
    except (ValueError, TypeError, OSError, yaml.YAMLError) as broken:
        raise Failure("OLR-HOST-010", kubeconfig=path, reason=str(broken).splitlines()[0]) from None


def _named(config: Mapping[str, Any], what: str, name: str) -> Mapping[str, Any]:
    for row in config.get(f"{what}s") or ():
        if row["name"] == name:
            found: Mapping[str, Any] = row[what]
            return found
    raise KeyError(f"{what} {name}")


def _content(row: Mapping[str, Any], name: str, path: str) -> bytes:
    """What is given inline as ``NAME-data`` or by file name, relative to the kubeconfig."""
    if f"{name}-data" in row:
        return base64.b64decode(row[f"{name}-data"])
    return (Path(path).parent / row[name]).read_bytes() if name in row else b""
