"""BIND's files: its configuration and its zones on first start."""

from __future__ import annotations

import base64
import ipaddress
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

KEY = "clusterdns"
"""Name of the key that updates and transfers are signed with."""
TTL = 5
"""Seconds an answer, positive or negative, may be kept by whoever asked."""


@dataclass(frozen=True)
class Layout:
    """What BIND serves and where."""

    state: Path
    domain: str
    """Absolute, such as cluster.local. (with the dot)."""
    reverse: tuple[str, ...]
    port: int
    address: str
    """The Service's cluster IP: the address of the zone's name server."""

    @property
    def zones(self) -> tuple[str, ...]:
        """The names of all zones."""
        return (self.domain, *self.reverse)

    @property
    def nameserver(self) -> str:
        """The name in SOA and NS."""
        return f"ns.dns.{self.domain}"


def upstreams(resolv_conf: str, own: str) -> list[str]:
    """The node's resolvers as forwarders, less those a pod can't reach (loopback, link-local) and ourselves."""
    found: list[str] = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver" or "%" in words[1]:
            continue
        address = ipaddress.ip_address(words[1])
        if not (address.is_loopback or address.is_link_local or address.is_unspecified or str(address) == own):
            found.append(str(address))
    return found


def configuration(layout: Layout, forwarders: list[str], secret: str) -> str:
    """named.conf. Without forwarders other names are refused at once: no hanging on a node without a resolver."""
    abroad = f"forwarders {{ {' '.join(f'{f};' for f in forwarders)} }};\n  forward only;\n  recursion yes;"
    ours = "{ !{ !127.0.0.1; any; }; key " + KEY + "; }"
    stanzas = "\n".join(
        f'zone "{zone}" {{ type primary; file "{zone}zone"; check-names ignore; '
        f"allow-update {ours}; allow-transfer {ours}; }};"
        for zone in layout.zones
    )
    return f"""options {{
  directory "{layout.state}";
  listen-on port {layout.port} {{ any; }};
  listen-on-v6 port {layout.port} {{ any; }};
  {abroad if forwarders else "recursion no;"}
  allow-query {{ any; }};
  allow-query-cache {{ any; }};
  allow-recursion {{ any; }};
  allow-transfer {{ none; }};
  notify no;
  dnssec-validation no;
  empty-zones-enable no;
  minimal-responses no-auth;
  max-ncache-ttl {TTL};
  max-cache-size 32m;
  max-journal-size 1m;
  pid-file none;
  lock-file none;
  session-keyfile none;
  version none;
  hostname none;
}};
controls {{ }};
logging {{
  channel out {{ stderr; severity notice; print-category yes; print-severity yes; }};
  category default {{ out; }};
  category update {{ null; }};
  category lame-servers {{ null; }};
}};
key "{KEY}" {{ algorithm hmac-sha256; secret "{secret}"; }};
{stanzas}
"""


def empty_zone(layout: Layout, zone: str, serial: int) -> str:
    """A zone file with nothing of the cluster in it yet."""
    own = f"{layout.nameserver} A {layout.address}\n" if zone == layout.domain else ""
    return (
        f"$TTL {TTL}\n@ SOA {layout.nameserver} hostmaster.{layout.domain} {serial} 7200 1800 86400 {TTL}\n"
        f"@ NS {layout.nameserver}\n{own}"
    )


def prepare(layout: Layout, resolv_conf: str) -> list[str]:
    """Write what BIND needs to start. Zones that are there stay, so a restart answers the last known state."""
    layout.state.mkdir(parents=True, exist_ok=True)
    key = layout.state / "key"
    if not key.exists():
        _write(key, base64.b64encode(secrets.token_bytes(32)).decode())
    for zone in layout.zones:
        path = layout.state / f"{zone}zone"
        if not path.exists():
            _write(path, empty_zone(layout, zone, int(time.time())))
    forwarders = upstreams(resolv_conf, layout.address)
    _write(layout.state / "named.conf", configuration(layout, forwarders, key.read_text()))
    return forwarders


def _write(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.rename(path)
