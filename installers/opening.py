"""Opening the bundle an installation comes from, before anything is planned: it decides edition and engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from installers.choice import choose, locked_node
from installers.core.artifacts.depot.contents import For
from installers.core.artifacts.depot.open import Depot, open_depot
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.facts.platform import Architecture, OsRelease
from installers.core.model import Fact, Probe, Unknown
from installers.site import Site


def opened(site: Site, probe: Probe, *, trust: str, report: Report) -> tuple[Site, Depot | None]:
    """The site with what its bundle says, and the bundle; None where the bits come from elsewhere.

    ``trust``: the fingerprint the user gives, "" for a publisher accepted before. Writes below the cache only.
    """
    chosen = choose(site, probe)
    if chosen.source != "bundle":
        return site, None
    made = locked_node(site, probe) is not None
    engine, edition = (chosen.kube, chosen.edition) if made else (site.kube, "")
    host = this_host(probe)
    depot = open_depot(
        chosen.places[0], site.paths, replace(host, engine=engine, edition=edition), trust=trust, report=report
    )
    contents = depot.contents
    return replace(site, source="bundle", places=chosen.places, edition=contents.edition, kube=contents.engine), depot


def this_host(probe: Probe) -> For:
    """What a bundle for this host has to say it is for."""
    release = known(OsRelease(), probe)
    return For(release.id, release.codename or release.version, known(Architecture(), probe))


def known(fact: Fact[Any], probe: Probe) -> Any:
    """A fact without which there is nothing to plan: ``OLR-RUN-002`` where it cannot be read."""
    value = fact.load(probe)
    if isinstance(value, Unknown):
        raise Failure("OLR-RUN-002", key="this host", fact=str(fact), reason=value.reason)
    return value
