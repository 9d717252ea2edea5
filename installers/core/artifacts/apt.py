"""The host's own Debian mirror, proxies and keys, for roots and images built on it."""

from __future__ import annotations

import re
import shutil
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from installers.core.artifacts.cache import Cache
from installers.core.artifacts.disk import write_whole
from installers.core.artifacts.fetch.proxy import proxy_for
from installers.core.artifacts.recipes import made_of
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.host.runner import run_process

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_SETTINGS = re.compile(r'^(Acquire::[\w:.-]*(?:Proxy|CaInfo|Verify-Peer)[\w:.-]*) "(.+)";$', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """One repository apt reads: suites and components at an address, and the key that signs it."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    def lines(self) -> Iterator[str]:
        """In sources.list's form, for binary and source packages."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        for kind in ("deb", "deb-src"):
            for uri in self.uris:
                for suite in self.suites:
                    yield f"{kind} {options}{uri} {suite} {' '.join(self.components)}"


@dataclass(frozen=True, slots=True)
class Release:
    """The host's Debian: version id (``12``) and code name."""

    id: str
    version: str
    codename: str


def parse_release(text: str) -> Release:
    """A release from os-release."""
    row = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.MULTILINE))
    return Release(row.get("ID", ""), row.get("VERSION_ID", ""), row.get("VERSION_CODENAME", ""))


def of_release(sources: Iterable[Source], *, here: str, wanted: str) -> tuple[Source, ...]:
    """The same archives with another release's suites: a mirror of Debian carries them all."""
    return tuple(
        replace(source, suites=tuple(wanted + suite.removeprefix(here) for suite in source.suites))
        for source in sources
    )


def debian_sources(files: Mapping[str, str], codename: str) -> tuple[Source, ...]:
    """Debian's own suites among apt's source files (path → text); other repositories stay out.

    Debian's are told by suite and component: ``NAME``, ``NAME-updates``, ``NAME-security`` with ``main``.
    """
    wanted = {codename, f"{codename}-updates", f"{codename}-security"}
    found: dict[Source, None] = {}
    for path, text in sorted(files.items()):
        for source in _deb822(text) if path.endswith(".sources") else _one_line(text):
            suites = tuple(suite for suite in source.suites if suite in wanted)
            if suites and "main" in source.components:
                found[replace(source, suites=suites, components=("main",))] = None
    if not any(codename in source.suites for source in found):
        raise Failure("OLR-ART-013", release=codename or "this system")
    return tuple(found)


def _deb822(text: str) -> Iterator[Source]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        fields = {
            m[1].lower(): m[2].strip() for m in re.finditer(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        }
        if fields.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in fields.get("types", "").split():
            continue
        signed = fields.get("signed-by", "")
        uris, suites, components = (tuple(fields.get(name, "").split()) for name in ("uris", "suites", "components"))
        yield Source(uris, suites, components, signed if signed.startswith("/") and "\n" not in signed else "")


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        if found := re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line):
            options = dict(option.split("=", 1) for option in (found[1] or "").split() if "=" in option)
            yield Source((found[2],), (found[3],), tuple(found[4].split()), options.get("signed-by", ""))


def settings(dump: str) -> tuple[tuple[str, str], ...]:
    """Proxy and certificate settings of ``apt-config dump``."""
    return tuple((m[1], m[2]) for line in dump.splitlines() if (m := _SETTINGS.match(line)))


@dataclass(frozen=True, slots=True)
class Mirror:
    """What apt needs to reach the host's mirror from anywhere on this host. ``release``: its code name there."""

    release: str
    sources: tuple[Source, ...]
    settings: tuple[tuple[str, str], ...] = ()

    def lay(self, folder: Path, *, seen: str, extra: Iterable[str] = ()) -> Path:
        """Write apt.conf, sources.list, keys and certificates into a folder that apt will see as ``seen``.

        Returns apt.conf, the value for APT_CONFIG. The folder is root's own: a proxy may carry a password.
        """
        folder.mkdir(parents=True, mode=0o700)
        lines = [f'{name} "{value}";' for name, value in self.settings if "cainfo" not in name.lower()]
        if _CERTIFICATES.is_file():
            shutil.copyfile(_CERTIFICATES, folder / "ca.crt")
            lines.append(f'Acquire::https::CaInfo "{seen}/ca.crt";')
        lines += self._ways_out()
        sources = [self._source(source, folder, seen=seen) for source in self.sources]
        (folder / "sources.list").write_text("".join(f"{line}\n" for source in sources for line in source.lines()))
        lines += [
            f'Dir::Etc::sourcelist "{seen}/sources.list";',
            'Dir::Etc::sourceparts "/dev/null";',
            'Dir::Etc::preferencesparts "/dev/null";',
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            'APT::Sandbox::User "root";',
            *extra,
        ]
        write_whole(folder / "apt.conf", "\n".join(lines) + "\n", mode=0o600)
        return folder / "apt.conf"

    def proxies(self) -> dict[str, str]:
        """apt's proxies as environment variables, for programs that bring an apt configuration of their own."""
        named = {"acquire::http::proxy": "http_proxy", "acquire::https::proxy": "https_proxy"}
        found = {named[name.lower()]: value for name, value in self.settings if name.lower() in named}
        return {name: "" if value == "DIRECT" else value for name, value in found.items()}

    def _ways_out(self) -> Iterator[str]:
        """The environment's proxy for each of our hosts, unless apt has its own: a root sees only these."""
        own = {name.lower().split("::")[1] for name, _ in self.settings if "proxy" in name.lower()}
        addresses = (urllib.parse.urlsplit(uri) for source in self.sources for uri in source.uris)
        for scheme, host in dict.fromkeys((address.scheme, address.netloc) for address in addresses):
            if scheme in ("http", "https") and scheme not in own and (proxy := proxy_for(f"{scheme}://{host}/")):
                name = urllib.parse.urlsplit(f"//{host}").hostname
                yield f'Acquire::{scheme}::Proxy::{name} "{proxy.geturl()}";'

    @staticmethod
    def _source(source: Source, folder: Path, *, seen: str) -> Source:
        if not source.signed_by:
            return source
        key = Path(source.signed_by)
        # Debian 13 calls its keyring .pgp; the apt of Debian 12 knows it by the older name.
        name = key.name.removesuffix(".pgp") + ".gpg" if key.suffix == ".pgp" else key.name
        shutil.copyfile(key, folder / name)
        return replace(source, signed_by=f"{seen}/{name}")


@contextmanager
def lists(cache: Cache, report: Report) -> Iterator[Path]:
    """The package lists builds share, held while apt updates or reads them for a download."""
    with cache.lock("apt-lists", report):
        folder = cache.root / "apt/build-lists"
        (folder / "partial").mkdir(parents=True, exist_ok=True)
        yield folder


def release() -> Release:
    """This host's release, from os-release."""
    return parse_release(Path("/etc/os-release").read_text())


def mirror() -> Mirror:
    """What this host's apt is configured for, with the release recipes are made of.

    ``OLR-ART-013`` when that is not its Debian.
    """
    here = release()
    wanted = made_of(here.id, here.codename)
    parts = Path("/etc/apt/sources.list.d")
    paths = [Path("/etc/apt/sources.list"), *parts.glob("*.list"), *parts.glob("*.sources")]
    files = {str(path): path.read_text() for path in paths if path.is_file()}
    dump = run_process(["apt-config", "dump", "Acquire"], timeout=30).stdout
    sources = of_release(debian_sources(files, here.codename), here=here.codename, wanted=wanted)
    return Mirror(wanted, sources, settings(dump))
