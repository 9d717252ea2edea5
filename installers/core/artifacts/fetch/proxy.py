"""The proxy for an address, taken from the environment as curl and pip do, and what can be wrong with it."""

from __future__ import annotations

import base64
import ipaddress
import re
import urllib.parse
from collections.abc import Iterable

from installers.core.artifacts.fetch.mirrors import public
from installers.core.errors import Failure

Url = urllib.parse.SplitResult
ANYWHERE = ("https://anywhere.invalid/", "http://anywhere.invalid/")
"""For what an environment says of a whole scheme: a name that is reached directly by nobody's list."""


class ProxyFault(Failure):
    """The proxy itself cannot be used, whatever it is asked for. ``lasting``: asking again does not help."""

    @property
    def lasting(self) -> bool:
        return self.id != "OLR-PROXY-001"


def unreachable(proxy: Url, error: BaseException) -> ProxyFault:
    """It was not reached, or broke off before a way through it was there."""
    said = "it said nothing for too long" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return ProxyFault("OLR-PROXY-001", proxy=public(proxy.geturl()), reason=said)


def locked(proxy: Url) -> ProxyFault:
    """It answered 407."""
    return ProxyFault("OLR-PROXY-002", proxy=public(proxy.geturl()))


def proxy_for(url: str) -> Url | None:
    """The proxy the environment names for an address (http_proxy, https_proxy, all_proxy), None without one.

    What no_proxy names goes directly: hosts, domains with all below them, addresses, ranges (CIDR), each with
    a port if only that is meant. Raises ``ProxyFault`` for an address of a proxy that is none.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urllib.parse.urlsplit(url)
    proxies = getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if not named:
        return None
    entries = proxies.get("no", "").replace(",", " ").split()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if is_direct(parts.hostname or "", port, entries) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = urllib.parse.urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme != "http":
        reason = f"a proxy of the kind {proxy.scheme} cannot be used; name one with http://"
        raise ProxyFault("OLR-PROXY-003", proxy=public(proxy.geturl()), reason=reason)
    try:
        fine = bool(proxy.hostname) and proxy.port != 0
    except ValueError:
        fine = False
    if not fine:
        # Its parts cannot be told from each other, and one may be a password.
        raise ProxyFault("OLR-PROXY-003", proxy=f"for {parts.scheme}", reason="its address has no host or a wrong port")
    return proxy


def blamed(said: str) -> ProxyFault | None:
    """The proxy that another program's words about a broken connection are about, where it is the proxy's own doing."""
    for url in ANYWHERE:
        proxy = proxy_for(url)
        if proxy is None:
            continue
        if re.search(r"\b407 Proxy Auth", said):
            return locked(proxy)
        if "Tunnel connection failed" in said:
            # It did answer: it does not get further, or may not.
            continue
        here = f"host='{proxy.hostname}', port={proxy.port or 80})" in said
        if here or "Cannot connect to proxy" in said:
            tail = re.search(r"\[Errno -?\d+\] [^'\")]+|timed out", said)
            return ProxyFault("OLR-PROXY-001", proxy=public(proxy.geturl()), reason=tail[0] if tail else said)
    return None


def is_direct(host: str, port: int, entries: Iterable[str]) -> bool:
    """Whether an entry of no_proxy names this host. Names are not resolved: a range is for addresses."""
    address = _address(host)
    return any(_names(entry.lower(), host.lower().rstrip("."), port, address) for entry in entries)


def _names(entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if entry == "*":
        return True
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        return address is not None and address in network
    except ValueError:
        pass
    name, colon, only = entry.rpartition(":")
    if colon and only.isdigit():
        return int(only) == port and _names(name, host, port, address)
    suffix = entry.removeprefix("*").strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def through(url: str) -> str:
    """For messages: by which proxy an address is asked; "" directly."""
    proxy = proxy_for(url)
    return f" (through the proxy {public(proxy.geturl())})" if proxy else ""


def credentials(parts: Url, header: str = "Authorization") -> dict[str, str]:
    """The name and password an address carries, as a header."""
    if parts.username is None:
        return {}
    return {header: basic(urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))}


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
