"""The choices made once per installation: source, engine, edition; and the components that follow from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec

from installers.core.component.load import Component, load
from installers.core.component.places import without_login
from installers.core.errors import Failure
from installers.core.host.kubeconfig import ADMIN, K3S
from installers.core.model import Probe
from installers.phases import PHASES
from installers.site import MACHINE, Node, Proxy, Site

ENGINE = {"debian": "kubernetes", "upstream": "k3s"}
"""The engine of an edition unless somebody chooses another."""

ENGINES = {"debian": ("kubernetes",), "upstream": ("k3s", "kubernetes")}
"""The engines an edition has at all: nobody packages K3s for Debian."""

KUBECONFIGS = {"kubernetes": ADMIN, "k3s": K3S}
"""Where an engine leaves root's access to the cluster."""

DATASTORE, RUNTIME = "embedded", "own"
"""What K3s works with unless somebody chooses otherwise."""

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
    signed = {"publisher": site.publisher} if site.publisher else {}
    choices = {"source": site.source, "places": site.places, **signed, "edition": site.edition, "kube": site.kube}
    k3s = {"k3s": {"datastore": site.k3s.datastore, "runtime": site.k3s.runtime}} if site.kube == "k3s" else {}
    out = site.proxy
    kept = {"proxy": {"http": out.http, "https": out.https, "direct": out.direct}} if out and out.kept else {}
    return json.dumps({**choices, **k3s, "node": asdict(site.node), **kept, "systems": systems}, indent=1) + "\n"


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
    k3s = replace(site.k3s, datastore=site.k3s.datastore or DATASTORE, runtime=site.k3s.runtime or RUNTIME)
    return replace(site, source=source, edition=edition, kube=kube, k3s=k3s)


def kubeconfig(site: Site, probe: Probe) -> str:
    """The kubeconfig of this installation's engine, chosen or to be chosen.

    No other file is looked at: one that somebody else's cluster left must not be taken for ours.
    """
    locked = _locked(site, probe)
    return KUBECONFIGS[locked["kube"] if locked else choose(site, probe).kube]


def edition_of(source: str) -> str:
    """Which set of versions a source has; a mirror that is no depot has what the upstream projects released."""
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


def with_lock(site: Site, probe: Probe) -> Site:
    """The site with what site.lock says, for who is to ask for it several times."""
    return replace(site, lock=_locked(site, probe))


def _locked(site: Site, probe: Probe) -> Mapping[str, Any]:
    if site.lock is not None:
        return site.lock
    if probe.stat(lock_path(site)) is None:
        return {}
    row: Mapping[str, Any] = json.loads(probe.read(lock_path(site)))
    return row


def _as_locked(site: Site, locked: Mapping[str, Any]) -> Site:
    k3s = replace(site.k3s, **locked.get("k3s", {"datastore": DATASTORE, "runtime": RUNTIME}))
    asked = (
        ("source", site.source, locked["source"]),
        ("kube", site.kube, locked["kube"]),
        ("k3s.datastore", site.k3s.datastore, k3s.datastore),
        ("k3s.runtime", site.k3s.runtime, k3s.runtime),
    )
    # What is asked of an engine that is not here changes nothing.
    for name, wanted, has in asked if locked["kube"] == "k3s" else asked[:2]:
        if wanted and wanted != has:
            raise Failure("OLR-PLAN-006", name=name, wanted=wanted, has=has)
    # Another place for the same bits changes no choice: a mirror moves, a stick is mounted elsewhere.
    kept = locked.get("places", ())
    # Locks of 22 November 2026 and before may hold a mirror's password.
    places = site.places or tuple(map(without_login, kept) if locked["source"] == "mirror" else kept)
    # Locks of 22 November 2026 and before name neither: there was no choice then.
    edition = locked.get("edition") or edition_of(locked["source"])
    chosen = replace(site, source=locked["source"], kube=locked["kube"], edition=edition)
    return replace(chosen, places=places, publisher=site.publisher or locked.get("publisher", ""), k3s=k3s)


def components(site: Site) -> tuple[Component, ...]:
    """The components of a chosen site, in the order of the phases; inside one, each after those it requires."""
    found = (load(path, site.edition, site.kube) for path in _PATHS)
    return _in_order([_as_chosen(one, site) for one in found if _belongs(one, site) and not _why_not(one, site)])


def _in_order(chosen: Sequence[Component]) -> tuple[Component, ...]:
    """Each as early as it can be. What requires something that is not here keeps its place: its plan says so."""
    names = {name for one in chosen for name in (one.name, *one.manifest.includes)}
    waiting, found, seen = list(chosen), list[Component](), set[str]()
    while waiting:
        free = (one for one in waiting if seen >= set(one.requires) & names)
        first = next(free, waiting[0])
        waiting.remove(first)
        found.append(first)
        seen |= {first.name, *first.manifest.includes}
    return tuple(found)


def left_out(site: Site) -> tuple[LeftOut, ...]:
    """What a chosen site goes without. What belongs to another engine is not missed."""
    found = (load(path, site.edition, site.kube) for path in _PATHS)
    return tuple(
        LeftOut(one.name, one.manifest.title, one.manifest.phase, why)
        for one in found
        if _belongs(one, site) and (why := _why_not(one, site))
    )


def _outside(site: Site) -> frozenset[str]:
    return site.k3s.outside if site.kube == "k3s" else frozenset()


def _belongs(component: Component, site: Site) -> bool:
    """Whether it is a part of installations with this engine, as that engine was chosen."""
    return component.manifest.belongs_to(site.kube) or component.name in _outside(site)


def _as_chosen(component: Component, site: Site) -> Component:
    """Of what it would bring along, what was chosen to be a component of its own is a requirement instead."""
    manifest, edition, outside = component.manifest, component.edition, _outside(site)
    taken = tuple(name for name in manifest.includes if name in outside)
    if not taken:
        return component
    rest = tuple(name for name in manifest.includes if name not in outside)
    manifest = msgspec.structs.replace(manifest, includes=rest, requires=(*manifest.requires, *taken))
    if edition.substitute and edition.substitute.stands_for.lower() in taken:
        # It stands in for nothing that is here.
        edition = msgspec.structs.replace(edition, substitute=None)
    return replace(component, manifest=manifest, edition=edition)


def _why_not(component: Component, site: Site) -> str:
    if component.name in site.skip:
        return "it is left out by skip: in olares.yaml"
    if component.manifest.edition(site.edition) is None:
        return f"it does not exist in the edition {site.edition} yet"
    return ""
