"""From Services and Endpoints to DNS records (Kubernetes DNS specification 1.1.0). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lightkube.models.core_v1 import EndpointAddress, EndpointSubset, ServiceSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Endpoints, Service

SPECIFICATION = "1.1.0"


class Record(NamedTuple):
    """One resource record: absolute lower-case name, type, and value as in a zone file with absolute names."""

    name: str
    kind: str
    value: str


Zones = dict[str, frozenset[Record]]
"""Records by the absolute name of the zone that holds them."""


def reverse_zones(networks: Iterable[str]) -> list[str]:
    """The reverse zones that cover networks exactly: one per octet (IPv4) or nibble (IPv6) boundary.

    >>> reverse_zones(["10.244.0.0/16"])
    ['244.10.in-addr.arpa.']
    """
    found: list[str] = []
    for text in networks:
        network = ipaddress.ip_network(text)
        width, total = (8, 4) if network.version == 4 else (4, 32)
        labels = max(1, -(-network.prefixlen // width))
        for part in network.subnets(new_prefix=labels * width):
            name = part.network_address.reverse_pointer.split(".")
            found.append(".".join(name[total - labels :]) + ".")
    return found


def zones(domain: str, reverse: Iterable[str], services: Iterable[Service], endpoints: Iterable[Endpoints]) -> Zones:
    """All the records a cluster should have, by zone. An address outside every reverse zone gets no PTR."""
    names = [domain, *reverse]
    filled: dict[str, set[Record]] = {name: set() for name in names}
    for record in _records(domain, services, endpoints):
        for name in names:
            if record.name == name or record.name.endswith("." + name):
                filled[name].add(record)
    return {name: frozenset(records) for name, records in filled.items()}


def changes(live: frozenset[Record], wanted: frozenset[Record]) -> list[list[tuple[Record, bool]]]:
    """What turns the live records into the wanted ones, one list per name: (record, True to add or False to delete).

    Deletions come before additions, because a CNAME stands alone and an update that breaks this is ignored silently.
    """
    by_name: dict[str, list[tuple[Record, bool]]] = {}
    for record in sorted(live - wanted):
        by_name.setdefault(record.name, []).append((record, False))
    for record in sorted(wanted - live):
        by_name.setdefault(record.name, []).append((record, True))
    return [by_name[name] for name in sorted(by_name)]


def batches(groups: Iterable[list[tuple[Record, bool]]], limit: int) -> Iterator[list[tuple[Record, bool]]]:
    """Join changes of whole names up to a limit per batch: a name's changes never stand in two batches."""
    batch: list[tuple[Record, bool]] = []
    for group in groups:
        if batch and len(batch) + len(group) > limit:
            yield batch
            batch = []
        batch = batch + group
    if batch:
        yield batch


def _records(domain: str, services: Iterable[Service], endpoints: Iterable[Endpoints]) -> Iterator[Record]:
    yield Record(f"dns-version.{domain}", "TXT", f'"{SPECIFICATION}"')
    subsets = {_key(item): item.subsets or [] for item in endpoints}
    for service in services:
        if service.spec is None:
            continue
        name = "{1}.{0}.svc.{2}".format(*_key(service), domain)
        if service.spec.type == "ExternalName":
            target = (service.spec.externalName or "").rstrip(".").lower()
            if target:
                yield Record(name, "CNAME", target + ".")
        elif service.spec.clusterIP == "None":
            for subset in subsets.get(_key(service), []):
                yield from _headless(name, subset)
        elif service.spec.clusterIP:
            yield from _with_address(name, service.spec)


def _with_address(name: str, spec: ServiceSpec) -> Iterator[Record]:
    for address in spec.clusterIPs or [spec.clusterIP or ""]:
        if address:
            yield from _address(name, address)
            yield _pointer(address, name)
    for port in spec.ports or []:
        if port.name:
            yield _server(name, port.name, port.protocol, port.port, name)


def _headless(name: str, subset: EndpointSubset) -> Iterator[Record]:
    for address in subset.addresses or []:
        host = f"{_label(address)}.{name}"
        yield from _address(name, address.ip)
        yield from _address(host, address.ip)
        yield _pointer(address.ip, host)
        for port in subset.ports or []:
            if port.name:
                yield _server(name, port.name, port.protocol, port.port, host)


def _label(address: EndpointAddress) -> str:
    return address.hostname or address.ip.replace(".", "-").replace(":", "-")


def _address(name: str, address: str) -> Iterator[Record]:
    parsed = ipaddress.ip_address(address)
    yield Record(name, "A" if parsed.version == 4 else "AAAA", str(parsed))


def _pointer(address: str, name: str) -> Record:
    return Record(ipaddress.ip_address(address).reverse_pointer + ".", "PTR", name)


def _server(name: str, port: str, protocol: str | None, number: int, target: str) -> Record:
    return Record(f"_{port}._{(protocol or 'TCP').lower()}.{name}", "SRV", f"0 100 {number} {target}")


def _key(item: Service | Endpoints) -> tuple[str, str]:
    meta = item.metadata or ObjectMeta()
    return meta.namespace or "default", meta.name or ""
