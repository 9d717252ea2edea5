"""etcd on this host: TLS with client certificates, loopback only, its data below our state directory."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.model import Footprint, Resource
from installers.core.resources.certificates import Certificate, CertificateAuthority
from installers.core.resources.files import Directory
from installers.core.resources.packages import Packages
from installers.core.resources.templates import Template
from installers.core.resources.units import Unit
from installers.site import Site

PKI = "/etc/olares/pki/etcd"


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """One member, which the API server reaches with a client certificate."""
    data = f"{site.paths.state}/etcd"
    authority = CertificateAuthority("ca", PKI, "olares etcd")
    yield Packages("etcd-server")
    yield Directory(PKI, mode=0o755)
    yield authority
    yield Certificate(
        "server",
        authority,
        PKI,
        "etcd",
        sans=("127.0.0.1", "localhost"),
        usages=("server", "client"),
        owner="etcd",
        group="etcd",
    )
    yield Certificate("client", authority, PKI, "kube-apiserver-etcd-client", usages=("client",))
    # The package removes /var/lib/etcd with itself, whoever owns what is there: ours lies elsewhere.
    yield Directory(data, mode=0o700, owner="etcd", group="etcd")
    yield Unit(
        "etcd.service",
        dropins={"olares.conf": Template("dropin.conf.j2", data=data, pki=PKI)},
        restart_on=[f"{PKI}/server.crt"],
        footprint=Footprint(trees=(data,), holds="cluster"),
    )
