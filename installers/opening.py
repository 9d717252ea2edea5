"""Opening the bundle an installation comes from, before anything is planned: it decides edition and engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from installers.choice import choose, locked_node, source_text
from installers.core.artifacts.depot.contents import For
from installers.core.artifacts.depot.open import Depot, kept_web, named, open_depot, open_web
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.facts.platform import Architecture, OsRelease
from installers.core.model import Fact, Probe, Unknown
from installers.site import Site

_SILENT = ("OLR-BND-018", "OLR-PROXY-")
"""Failures that say of a place only that it was not reached."""


def opened(site: Site, probe: Probe, *, trust: str, report: Report) -> tuple[Site, Depot | None]:
    """The site with what its bundle says, and the bundle; None where the bits come from elsewhere.

    A mirror is asked whether it carries a bundle until that is chosen. ``trust``: the fingerprint the user gives,
    "" for a publisher accepted before; OLR-BND-023 where nothing signed is chosen. Writes below the cache only.
    """
    chosen = choose(site, probe)
    made = locked_node(site, probe) is not None
    if chosen.source == "bundle":
        host = _host(site, chosen, probe, made=made)
        depot = open_depot(chosen.places[0], site.paths, host, trust=trust, report=report)
    elif chosen.source == "mirror" and (chosen.publisher or not made):
        found = _on_web(site, chosen, probe, trust=trust, report=report)
        if found is None:
            return site, None
        depot = found
    elif trust:
        # A fingerprint says that signatures are wanted: going on without any would be another thing than was asked for.
        raise Failure("OLR-BND-023", source=source_text(chosen), what="is locked as" if made else "is")
    else:
        return site, None
    return _of(depot, site, chosen), depot


def kept(site: Site, probe: Probe, *, trust: str, report: Report) -> tuple[Site, Depot | None]:
    """The same for who only looks: no web server is asked while what was accepted of its bundle is kept."""
    chosen = choose(site, probe)
    if chosen.publisher and (depot := kept_web(chosen.publisher, chosen.places, site.paths)):
        return _of(depot, site, chosen), depot
    return opened(site, probe, trust=trust, report=report)


def _on_web(site: Site, chosen: Site, probe: Probe, *, trust: str, report: Report) -> Depot | None:
    """The bundle that a mirror's places carry, None where they carry none and none was chosen or asked for.

    An installation that was made goes on with what it has accepted when none of them is reached.
    """
    # Late: it brings the library that verifies signatures, and this module is on the way of every command.
    from installers.core.artifacts.depot.remote import carriers

    wanted, made = trust or chosen.publisher, bool(chosen.publisher)
    try:
        places = carriers(chosen.places, report)
        if not places and not wanted:
            return None
        if not places:
            reason = "there is no metadata/timestamp.json"
            raise Refused("OLR-BND-002", place=named(chosen.places), reason=reason)
        return open_web(places, site.paths, _host(site, chosen, probe, made=made), trust=wanted, report=report)
    except Failure as failure:
        depot = kept_web(wanted, chosen.places, site.paths) if made and failure.id.startswith(_SILENT) else None
        if depot is None:
            raise
        report(0, 0, "bytes", f"{failure.what}; what was accepted of it before is used")
        return depot


def _host(site: Site, chosen: Site, probe: Probe, *, made: bool) -> For:
    """What the bundle has to be for: once an installation is made, its engine and edition too."""
    engine, edition = (chosen.kube, chosen.edition) if made else (site.kube, "")
    return replace(this_host(probe), engine=engine, edition=edition)


def _of(depot: Depot, site: Site, chosen: Site) -> Site:
    """The site with what its bundle says."""
    found = replace(site, source=chosen.source, places=chosen.places)
    publisher, contents = depot.fingerprint if depot.web else "", depot.contents
    images = tuple((one.reference, one.digest) for one in contents.images)
    return replace(found, publisher=publisher, edition=contents.edition, kube=contents.engine, images=images)


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
