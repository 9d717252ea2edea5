"""Network links and their addresses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from installers.core.model import Probe, Query, Unknown


@dataclass(frozen=True, slots=True)
class LinkState:
    """A network link: its kind (``bridge``; "" for a real device), whether it is up, its addresses (CIDR)."""

    kind: str
    up: bool = False
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Links:
    """Every network link by name."""

    def load(self, probe: Probe) -> Mapping[str, LinkState] | Unknown:
        links = probe.query(Query("ip", ("-j", "-d", "link", "show")))
        addresses = probe.query(Query("ip", ("-j", "addr", "show")))
        if links.code or addresses.code:
            return Unknown((links.stderr or addresses.stderr).strip())
        return parse_links(links.stdout, addresses.stdout)


def parse_links(links: str, addresses: str) -> dict[str, LinkState]:
    """``ip -j -d link show`` for the kinds, ``ip -j addr show`` for the addresses."""
    by_name = {
        row["ifname"]: tuple(f"{address['local']}/{address['prefixlen']}" for address in row.get("addr_info", ()))
        for row in json.loads(addresses or "[]")
        if "ifname" in row
    }
    return {
        row["ifname"]: LinkState(
            kind=row.get("linkinfo", {}).get("info_kind", ""),
            up="UP" in row.get("flags", ()),
            addresses=by_name.get(row["ifname"], ()),
        )
        for row in json.loads(links or "[]")
        if "ifname" in row
    }
