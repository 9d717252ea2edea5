"""The way out of the computer around, for a machine: that olares.yaml's proxy and mirrors in the machine's own.

Neither carries a name or a password (olares.yaml takes none), so that the machine's file may be read by everybody.
"""

from __future__ import annotations

import ipaddress
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from installers.core.errors import Failure
from installers.core.remote.client import Remote
from installers.site import Paths, Site

CONFIG = Paths().config
"""Where a machine's own olares.yaml lies in it."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy")

OURS = "# From the computer around this machine, each time it is created, started or brought up there."
FIRST = f"{OURS}\n# To keep changes of your own, delete these two lines.\n"
"""How a file of ours begins; any other one is the machine's own and stays."""


def inherited(site: Site) -> bytes:
    """The olares.yaml a machine gets of this computer's site, b"" when that names neither proxy nor mirrors."""
    import yaml

    content: dict[str, Any] = {}
    if site.proxy is not None:
        content["proxy"] = {"http": site.proxy.http, "https": site.proxy.https, "direct": list(site.proxy.direct)}
    if site.registries:
        content["registries"] = {
            row.name: {"mirrors": list(row.mirrors)} | ({"ca": row.ca} if row.ca else {}) for row in site.registries
        }
    return f"{FIRST}{yaml.safe_dump(content, sort_keys=False)}".encode() if content else b""


def unreachable(site: Site, environ: Mapping[str, str]) -> Failure | None:
    """Why a machine cannot go the way this computer goes: by the loopback here, or with a password.

    OLR-MACH-010 for what olares.yaml names, 011 for an environment, which is meant for its own command first.
    """
    proxies = [site.proxy.http, site.proxy.https] if site.proxy else []
    mirrors = [mirror for row in site.registries for mirror in row.mirrors]
    names = [name for name in PROXIES if environ.get(name) or environ.get(name.upper())]
    kept = site.proxy is not None and site.proxy.kept
    # What of an environment may be handed on is in the site by now.
    if (names and site.proxy is None) or (kept and any(map(_is_loopback, proxies))):
        return Failure("OLR-MACH-011", names=", ".join(names) or "an earlier one's")
    for what, urls in (("proxy", proxies), ("mirror", mirrors)):
        for url in filter(_is_loopback, urls):
            return Failure("OLR-MACH-010", what=what, url=url)
    return None


def _is_loopback(url: str) -> bool:
    """Whether an address means the computer it is used on."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def hand_over(remote: Remote, site: Site, environ: Mapping[str, str]) -> Failure | None:
    """Give a machine this computer's proxy and mirrors, unless it has an olares.yaml of its own.

    Returns why it cannot go that way, if it cannot. What is named here no more stays in the machine.
    """
    there = config_in(remote)
    if there and not there.startswith(OURS.encode()):
        return None
    if wrong := unreachable(site, environ):
        return wrong
    content = inherited(site)
    if content and content != there:
        authorities = sorted({row.ca for row in site.registries if row.ca and Path(row.ca).is_file()})
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "olares.yaml")
            file.write_bytes(content)
            places = sorted({str(Path(path).parent) for path in (CONFIG, *authorities)})
            remote.run(["mkdir", "-p", *places], timeout=30)
            remote.upload([*((path, path) for path in authorities), (str(file), CONFIG)])
    return None


def concerns(site: Site, environ: Mapping[str, str]) -> bool:
    """Whether there is anything to hand over, or to say about it."""
    return bool(inherited(site) or unreachable(site, environ))


def config_in(remote: Remote) -> bytes:
    """A machine's olares.yaml, b"" when it has none."""
    lines: list[str] = []
    remote.run(["cat", CONFIG], timeout=30, on_line=lines.append)
    return "".join(f"{line}\n" for line in lines).encode()
