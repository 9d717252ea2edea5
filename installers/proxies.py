"""The way out: the proxies of olares.yaml, else those of a command's environment, else those an earlier one named."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import replace

from installers.choice import locked_proxy
from installers.core.component.places import is_direct, is_proxy
from installers.core.model import Probe
from installers.site import Proxy, Site

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_DIRECT = "no_proxy"


def with_proxy(site: Site, probe: Probe, environ: Mapping[str, str]) -> Site:
    """The site with the proxies that services of this node are told."""
    if site.proxy:
        return site
    # What go_out put there is not kept: a command that starts another one hands its environment on.
    found = of_environment(environ, known=site.reached_directly()) or locked_proxy(site, probe)
    return replace(site, proxy=found)


def of_environment(environ: Mapping[str, str], *, known: Collection[str] = ()) -> Proxy | None:
    """The proxies an environment names, None without one that may be kept; ``known`` is reached directly anyway.

    What is kept others may read: an environment whose address carries a name or a password serves its own
    command only, and so does one of a kind that olares.yaml could not name either.
    """
    found = [_value(environ, name) or _value(environ, "all_proxy") for name in ("http_proxy", "https_proxy")]
    urls = [url if not url or "://" in url else f"http://{url}" for url in found]
    if not any(urls) or any(is_proxy(url) for url in urls):
        return None
    direct = dict.fromkeys(_value(environ, _DIRECT).replace(",", " ").split())
    http, https = (url.rstrip("/") for url in urls)
    return Proxy(http, https, tuple(one for one in direct if one not in known and not is_direct(one)), kept=True)


def go_out(site: Site, environ: MutableMapping[str, str]) -> None:
    """Have this process, and every program it starts, go out as the site says: our own client, apt, pip, buildah.

    Those of them that have settings of their own (apt, pip) heed these first.
    """
    said = {name: _value(environ, name) for name in (*_PROXIES, _DIRECT)}
    if any(said[name] for name in _PROXIES) and (site.proxy is None or site.proxy.kept):
        # apt knows the lower case only, and no all_proxy.
        rows = {name: said[name] or said["all_proxy"] for name in _PROXIES}
        named = said[_DIRECT].replace(",", " ").split()
    elif site.proxy:
        rows, named = {"http_proxy": site.proxy.http, "https_proxy": site.proxy.https}, []
    else:
        return
    for name in _PROXIES:
        _set(environ, name, rows.get(name, ""))
    if any(rows.values()):
        _set(environ, _DIRECT, ",".join(dict.fromkeys((*site.reached_directly(), *named))))


def _value(environ: Mapping[str, str], name: str) -> str:
    """A variable in either case; where both stand, programs take the lower one."""
    return environ.get(name) or environ.get(name.upper(), "")


def _set(environ: MutableMapping[str, str], name: str, value: str) -> None:
    for one in (name, name.upper()):
        if value:
            environ[one] = value
        else:
            environ.pop(one, None)
