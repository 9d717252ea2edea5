"""etcd on this host: TLS with client certificates, loopback only, its data below our state directory."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.model import Footprint, Resource
from installers.core.resources.artifacts import Binary
from installers.core.resources.certificates import Certificate, CertificateAuthority
from installers.core.resources.files import Directory
from installers.core.resources.packages import Packages
from installers.core.resources.templates import Template
from installers.core.resources.units import Unit
from installers.core.resources.users import User
from installers.site import Site

PKI = "/etc/olares/pki/etcd"
BIN = "/usr/local/bin"


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """One member, which the API server reaches with a client certificate."""
    data = f"{site.paths.state}/etcd"
    authority = CertificateAuthority("ca", PKI, "olares etcd")
    yield from _programs(site, values)
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
    yield _unit(site, data)


def _programs(site: Site, values: Values) -> Iterator[Resource]:
    """Debian's package, or the project's programs and the account its package would have made."""
    if site.edition != "upstream":
        yield Packages("etcd-server")
        return
    archive = values.releases["etcd"]
    folder = archive.file.file.removesuffix(".tar.gz")
    # etcdutl takes back snapshots: from 3.6 on etcdctl no longer does.
    for name in ("etcd", "etcdctl", "etcdutl"):
        yield Binary(f"{BIN}/{name}", archive, site.paths, f"{folder}/{name}")
    yield User("etcd")


def _unit(site: Site, data: str) -> Unit:
    upstream = site.edition == "upstream"
    program = f"{BIN}/etcd" if upstream else "/usr/bin/etcd"
    certificate = f"{PKI}/server.crt"
    return Unit(
        "etcd.service",
        content=Template("etcd.service.j2") if upstream else None,
        dropins={"olares.conf": Template("dropin.conf.j2", program=program, data=data, pki=PKI)},
        restart_on=[certificate, program] if upstream else [certificate],
        footprint=Footprint(trees=(data,), holds="cluster"),
    )
