"""What can stand for a proxy, a mirror, a registry in olares.yaml. Each check: why a text is none, or ""."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse

_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_OPEN = "no name and no password here: what is made of this file can be read by others"
_LOGIN = f"{_OPEN}; their place is ~/.netrc of who runs the command, usually root (an @ of the path is written %40)"
_PROXY = f"{_OPEN}; name a proxy that asks for none, such as a forwarder on this host which knows them"


def is_proxy(value: str) -> str:
    """For the proxies' URLs: http://HOST:PORT."""
    if not value:
        return ""
    if "@" in value:
        return _PROXY
    parts, wrong = _split(value, "http://proxy.example:3128")
    if parts is None:
        return wrong
    if parts.scheme != "http":
        return f"a proxy is spoken to by http, also for https:// addresses: http://{parts.netloc}"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return f"a proxy has no path: http://{parts.netloc}"
    return "" if parts.port else f"a proxy has a port: http://{parts.hostname}:3128"


def is_mirror(value: str) -> str:
    """For a registry mirror's URL."""
    if "@" in value:
        return _OPEN
    parts, wrong = _split(value, "https://mirror.example")
    if parts is None:
        return wrong
    if parts.query or parts.fragment:
        return "an address without ? and #"
    path = parts.path.rstrip("/")
    if path and not (path == "/v2" or path.startswith("/v2/")):
        return f"a path says where the registry API begins, so it begins with /v2: /v2{path}"
    return "" if re.fullmatch(r"[\w./-]*", path) else "a path has letters, digits and . _ - /"


def is_place(value: str) -> str:
    """For the base address of a mirror of files, or of a bundle."""
    if carries_login(value):
        return _LOGIN
    if not value.startswith(("http://", "https://")):
        return "a mirror is named with its address: mirror:https://mirror.lan/olares"
    return "an address without ? and #" if re.search(r"[?#]", value) else ""


def carries_login(value: str) -> bool:
    """Whether an address may carry a name and a password; where those would end is not guessed."""
    return "@" in value


def without_login(address: str) -> str:
    """An address that was kept before such ones were refused."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def is_registry(value: str) -> str:
    """For a registry's name, as image references begin with it."""
    if "@" in value:
        return _OPEN
    host, colon, port = value.partition(":")
    fine = _is_host(host) and (not colon or _is_port(port))
    if "/" in value:
        return f"a registry is a host name, with a port if it has one: {value.split('://')[-1].partition('/')[0]}"
    return "" if fine else "a registry looks like docker.io or registry.example:5000"


def is_direct(value: str) -> str:
    """For what is reached without a proxy: a host, a domain with everything below it, an address, a range."""
    if "@" in value:
        return _OPEN
    if "://" in value:
        return f"a host, not an address with a scheme: {urllib.parse.urlsplit(value).hostname or value}"
    if value.startswith("*."):
        return f"a domain stands for everything below it: {value[2:]}"
    try:
        ipaddress.ip_network(value)
    except ValueError:
        pass
    else:
        return ""
    try:
        return f"did you mean {ipaddress.ip_network(value, strict=False)}? The given address is inside that range"
    except ValueError:
        fine = _is_host(value.removeprefix("."))
        return "" if fine else "a host looks like files.example, a range like 10.0.0.0/8"


def is_file(value: str) -> str:
    """For a file that programs of the system read."""
    fine = re.fullmatch(r"/[\w./+-]+", value) and ".." not in value.split("/")
    return "" if fine else "an absolute path without spaces, such as /etc/ssl/certs/mirror.pem"


def _split(value: str, sample: str) -> tuple[urllib.parse.SplitResult | None, str]:
    """The parts of an http(s) URL with a host that can be one, or why it is none."""
    wrong = f"an address looks like {sample}"
    try:
        parts = urllib.parse.urlsplit(value)
        port = parts.port
    except ValueError:
        return None, wrong
    if parts.scheme not in ("http", "https") or "://" not in value:
        return None, wrong
    host = parts.hostname or ""
    fine = (_is_address(host) or _is_host(host)) and port != 0 and value.isascii() and not re.search(r"\s", value)
    return (parts, "") if fine else (None, wrong)


def _is_host(value: str) -> bool:
    return len(value) <= 253 and all(_PART.fullmatch(part) for part in value.split("."))


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_port(value: str) -> bool:
    return value.isdigit() and 0 < int(value) < 1 << 16
