"""The desired state a user writes (olares.yaml), and where this installation lives on the host.

Reading the file, with every problem at once and its line, is in ``core.component.sitefile``;
here are only the frozen values everything else is a function of.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOCK = "/run/olares/lock"
"""The lease's lock file: fixed, so that two runs meet there whatever their environment says."""

INSTALLATION = "/etc/olares/installation"
"""Names the state directory of this host's installation; a run with another one is refused."""

MACHINE = "/usr/local/lib/olares-machine"
"""Present in every machine we make, and nowhere else."""

PROGRAM = "/opt/olares"
"""Where the program lives on a host it manages."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The directories this installation uses; each can be moved by its environment variable."""

    config: str = "/etc/olares/olares.yaml"
    state: str = "/var/lib/olares"
    cache: str = "/var/cache/olares"
    logs: str = "/var/log/olares"
    run: str = "/run/olares"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Paths:
        """OLARES_CONFIG, OLARES_STATE_DIR, OLARES_CACHE_DIR, OLARES_LOG_DIR, OLARES_RUN_DIR."""
        default = cls()
        return cls(
            config=environ.get("OLARES_CONFIG", default.config),
            state=environ.get("OLARES_STATE_DIR", default.state),
            cache=environ.get("OLARES_CACHE_DIR", default.cache),
            logs=environ.get("OLARES_LOG_DIR", default.logs),
            run=environ.get("OLARES_RUN_DIR", default.run),
        )

    @property
    def journal(self) -> str:
        return f"{self.state}/journal.sqlite"

    @property
    def secrets(self) -> str:
        """Root-only store of generated secrets, one file each."""
        return f"{self.state}/secrets"

    @property
    def before(self) -> str:
        """0700 store of before-images of files that are not world-readable."""
        return f"{self.state}/before"

    @property
    def volumes(self) -> str:
        """User data: one directory per claim, kept by uninstall unless ``--all``."""
        return f"{self.state}/volumes"

    @property
    def built(self) -> str:
        """Digests of what was built here, kept apart from the cache that holds the bytes."""
        return f"{self.state}/built"

    @property
    def scratch(self) -> str:
        """Where images and programs are built; empty but for a lock while nothing is."""
        return f"{self.state}/build"


@dataclass(frozen=True, slots=True)
class Node:
    """This node: its name in the cluster (default: host name) and address (default: of the default route)."""

    name: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """Cluster address ranges (CIDR) and DNS domain. ``dns`` lies in ``services``."""

    pods: str = "10.233.64.0/18"
    services: str = "10.96.0.0/16"
    dns: str = "10.96.0.10"
    domain: str = "cluster.local"


K3S_DATA = "/var/lib/rancher/k3s"
"""Where K3s keeps what it needs no telling of: images, containers, the embedded datastore."""


@dataclass(frozen=True, slots=True)
class K3s:
    """The engine K3s. ``version``: the one that is wanted, "" for the one this program brings.

    ``datastore``: where the cluster's record is, ``embedded`` (a SQLite file of K3s's) or ``etcd`` (a service of the
    host). ``runtime``: whose containerd runs the pods, K3s's ``own`` or the host's, ``shared`` with other users.
    Both are "" until they are chosen.
    """

    version: str = ""
    datastore: str = ""
    runtime: str = ""

    @property
    def outside(self) -> frozenset[str]:
        """Systems that are components of their own here, although K3s could bring them.

        The pod network goes with the runtime: containerd looks for its configuration and plugins, K3s's lie elsewhere.
        """
        etcd = {"etcd"} if self.datastore == "etcd" else set()
        return frozenset(etcd | ({"containerd", "calico"} if self.runtime == "shared" else set()))


@dataclass(frozen=True, slots=True)
class Proxy:
    """The way out of this network: URLs of scheme, host and port, "" for none; ``direct``: what is reached without.

    They go to programs and files that others may read, so that none carries a name or a password.
    ``kept``: it came from the environment of a command, and stays in site.lock.
    """

    http: str = ""
    https: str = ""
    direct: tuple[str, ...] = ()
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """Mirrors of one image registry (``host`` or ``host:port``), asked in this order before the registry itself.

    A mirror is a URL; its path, if it has one, is where the registry API begins there (``/v2/…``).
    ``ca``: a file with the certificate authority of all of them, "" for the system's.
    """

    name: str
    mirrors: tuple[str, ...]
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything a user can decide about one host. Unset fields take the defaults shown here.

    ``source`` and ``kube`` are "" until they are chosen, once per installation (``installers.choice``);
    ``edition``, which set of versions that is, is chosen with them. ``places``: the base addresses of a
    mirror, or the path of a bundle. ``publisher``: the fingerprint of the signed depot that a mirror turned
    out to be, "" where it is none. ``index``: the folder of the signed index in use, "" for the program's
    own. ``pins``: digests a person vouches for (release-version-architecture, sha256). ``images``: those a bundle's
    publisher vouches for, of images that have none of their own (reference, ``sha256:…``). ``lock``: what site.lock
    says, so that all of one command goes by one reading of it; empty without one, None while it was not read.
    """

    source: str = ""
    kube: str = ""
    edition: str = ""
    places: tuple[str, ...] = ()
    publisher: str = ""
    index: str = ""
    pins: tuple[tuple[str, str], ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    accept_eol: bool = False
    node: Node = field(default_factory=Node)
    network: Network = field(default_factory=Network)
    k3s: K3s = field(default_factory=K3s)
    skip: tuple[str, ...] = ()
    proxy: Proxy | None = None
    registries: tuple[Registry, ...] = ()
    paths: Paths = field(default_factory=Paths)
    lock: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def signed(self) -> bool:
        """Whether everything comes out of a signed depot, so that nothing else is fetched, built or asked for."""
        return self.source == "bundle" or bool(self.publisher)

    def reached_directly(self) -> tuple[str, ...]:
        """What is never asked of a proxy: this node, the cluster inside it, and what the user names."""
        own = ("localhost", "127.0.0.0/8", "::1", self.network.pods, self.network.services, self.network.domain)
        address = (self.node.address,) if self.node.address else ()
        return tuple(dict.fromkeys((*own, *address, *(self.proxy.direct if self.proxy else ()))))

    def proxy_environment(self) -> dict[str, str]:
        """HTTP_PROXY, HTTPS_PROXY and NO_PROXY for a service of this node; empty without a proxy."""
        proxy = self.proxy
        if proxy is None or not (proxy.http or proxy.https):
            return {}
        rows = {"HTTP_PROXY": proxy.http, "HTTPS_PROXY": proxy.https, "NO_PROXY": ",".join(self.reached_directly())}
        return {name: value for name, value in rows.items() if value}
