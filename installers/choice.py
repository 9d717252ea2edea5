"""The choices made once per installation: source, engine, edition; and the components that follow from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from installers.core.component.load import Component, load
from installers.core.errors import Failure
from installers.core.model import Probe
from installers.phases import PHASES
from installers.site import MACHINE, Node, Proxy, Site

ENGINE = {"debian": "kubernetes", "upstream": "k3s"}
"""The engine of an edition unless somebody chooses another."""

ENGINES = {"debian": ("kubernetes",), "upstream": ("k3s", "kubernetes")}
"""The engines an edition has at all: nobody packages K3s for Debian."""

_PATHS = tuple(path for phase in PHASES for path in phase.components)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A component this installation goes without, and why."""

    name: str
    title: str
    phase: str
    why: str


def lock_path(site: Site) -> str:
    """Where the choices of an installation are kept."""
    return f"{site.paths.state}/site.lock"


def lock_text(site: Site, components: Iterable[Component]) -> str:
    """What the lock says of a chosen site: nothing in it is ever asked or probed again."""
    systems = {
        one.name: {
            "version": one.edition.version,
            "substitute": one.edition.substitute.name if one.edition.substitute else "",
        }
        for one in components
    }
    choices = {"source": site.source, "places": site.places, "edition": site.edition, "kube": site.kube}
    out = site.proxy
    kept = {"proxy": {"http": out.http, "https": out.https, "direct": out.direct}} if out and out.kept else {}
    return json.dumps({**choices, "node": asdict(site.node), **kept, "systems": systems}, indent=1) + "\n"


def choose(site: Site, probe: Probe) -> Site:
    """The site with source, engine and edition chosen: as locked, else as asked for, else by default.

    A machine takes Debian's edition, a host the upstream one. ``OLR-PLAN-006``: something else is asked for
    than this installation was made with. ``OLR-PLAN-007``: the source does not have the engine.
    """
    locked = _locked(site, probe)
    if locked:
        return _as_locked(site, locked)
    source = site.source or ("debian" if probe.stat(MACHINE) is not None else "upstream")
    edition = site.edition or edition_of(source)
    kube = site.kube or ENGINE[edition]
    if kube not in ENGINES[edition]:
        raise Failure("OLR-PLAN-007", source=source, kube=kube, known=", ".join(ENGINES[edition]))
    return replace(site, source=source, edition=edition, kube=kube)


def edition_of(source: str) -> str:
    """Which set of versions a source has; a mirror has what the upstream projects released."""
    return "debian" if source == "debian" else "upstream"


def source_text(site: Site) -> str:
    """A chosen source with its places, as one writes it."""
    return ":".join((site.source, *filter(None, [",".join(site.places)])))


def locked_node(site: Site, probe: Probe) -> Node | None:
    """The node's name and address as locked, None before the first installation."""
    row = _locked(site, probe)
    return Node(**row["node"]) if row else None


def locked_proxy(site: Site, probe: Probe) -> Proxy | None:
    """The proxy that an earlier command's environment named, None when it named none."""
    row = _locked(site, probe).get("proxy")
    return Proxy(row["http"], row["https"], tuple(row["direct"]), kept=True) if row else None


def _locked(site: Site, probe: Probe) -> Mapping[str, Any]:
    if probe.stat(lock_path(site)) is None:
        return {}
    row: Mapping[str, Any] = json.loads(probe.read(lock_path(site)))
    return row


def _as_locked(site: Site, locked: Mapping[str, Any]) -> Site:
    asked = (("source", site.source, locked["source"]), ("kube", site.kube, locked["kube"]))
    for name, wanted, has in asked:
        if wanted and wanted != has:
            raise Failure("OLR-PLAN-006", name=name, wanted=wanted, has=has)
    # Another place for the same bits changes no choice: a mirror moves, a stick is mounted elsewhere.
    places = site.places or tuple(locked["places"])
    return replace(site, source=locked["source"], kube=locked["kube"], edition=locked["edition"], places=places)


def components(site: Site) -> tuple[Component, ...]:
    """The components of a chosen site, in the order of the phases."""
    found = (load(path, site.edition) for path in _PATHS)
    return tuple(one for one in found if one.manifest.belongs_to(site.kube) and not _why_not(one, site))


def left_out(site: Site) -> tuple[LeftOut, ...]:
    """What a chosen site goes without. What belongs to another engine is not missed."""
    found = (load(path, site.edition) for path in _PATHS)
    return tuple(
        LeftOut(one.name, one.manifest.title, one.manifest.phase, why)
        for one in found
        if one.manifest.belongs_to(site.kube) and (why := _why_not(one, site))
    )


def _why_not(component: Component, site: Site) -> str:
    if component.name in site.skip:
        return "it is left out by skip: in olares.yaml"
    if component.manifest.edition(site.edition) is None:
        return f"it does not exist in the edition {site.edition} yet"
    return ""
