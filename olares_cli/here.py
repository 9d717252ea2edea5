"""This machine and its desired state, from the configuration file and the options of a command."""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from installers.core.errors import Failure
from installers.core.model import Probe
from installers.phases import PHASES
from installers.site import Site
from olares_cli import verbs
from olares_cli.session import Session
from olares_cli.ui.telling import Telling

if TYPE_CHECKING:
    from olares_cli.runs.request import Request


def probe(site: Site | None = None) -> Probe:
    """The read-only face of the local machine; with a site also of the cluster that its engine runs or would."""
    from installers.core.host.local import LocalProbe

    if site is None:
        return LocalProbe()
    from installers.choice import kubeconfig

    return LocalProbe(kubeconfig=kubeconfig(site, LocalProbe()))


def site(session: Session, *, source: str = "", kube: str = "", accept_eol: bool = False) -> Site:
    """The site in the configuration file, with what the command line says laid over it.

    Its proxies count from now on, for this process and what it starts.
    """
    from installers.choice import with_lock
    from installers.core.artifacts.inuse import in_use, lapsed
    from installers.core.component.sitefile import KUBES, read_site, source_of
    from installers.proxies import go_out, with_proxy

    check_names("--kube", [kube] if kube else [], KUBES)
    if source.startswith("mirror:"):
        require_open(source, given="--source")
    found = read_site(session.paths, names=verbs.names(PHASES))
    try:
        name, places = source_of(source) if source else (found.source, found.places)
    except ValueError as error:
        raise Failure("OLR-CLI-015", value=source, hint=f"{error}") from error
    here = probe()
    wanted = replace(
        with_lock(found, here),
        source=name,
        places=places,
        kube=kube or found.kube,
        accept_eol=accept_eol or found.accept_eol,
    )
    wanted = with_proxy(wanted, here, session.environ)
    go_out(wanted, os.environ)
    if row := lapsed(session.paths.state):
        session.say(f"The index signed by {row.fingerprint} is older than this program's own, which counts.")
    return replace(wanted, index=in_use(session.paths.state))


def options(
    session: Session,
    *,
    phases: tuple[str, ...] = (),
    skip_phases: tuple[str, ...] = (),
    source: str = "",
    kube: str = "",
    accept_eol: bool = False,
    trust: str = "",
    stop: threading.Event | None = None,
    request: str = "",
) -> Any:
    """The options of ``installers.install``; an unknown phase, source or engine is refused."""
    known = [phase.name for phase in PHASES]
    check_names("--phase", phases, known)
    check_names("--skip-phase", skip_phases, known)
    wanted = site(session, source=source, kube=kube, accept_eol=accept_eol)
    event = stop or threading.Event()
    return verbs.load().Options(
        wanted,
        phases=phases,
        skip_phases=skip_phases,
        stop=event,
        request=request,
        trust=trust,
        report=Telling(session),
    )


def options_for(session: Session, request: Request, *, stop: threading.Event | None = None) -> Any:
    """The options a run's request stands for. ``stop``: set when the user interrupts."""
    from olares_cli.runs.request import remembered

    if request.verb in ("undo", "uninstall"):
        # Taking back is the journal's business: a configuration nobody can read must not stand in its way.
        from installers.choice import with_lock

        event, bare = stop or threading.Event(), with_lock(Site(paths=session.paths), probe())
        return verbs.load().Options(bare, stop=event, request=remembered(request))
    return options(
        session,
        phases=request.phases,
        skip_phases=request.skip_phases,
        source=request.source,
        kube=request.kube,
        accept_eol=request.accept_eol,
        trust=request.trust,
        stop=stop,
        request=remembered(request),
    )


def require_open(address: str, *, given: str) -> None:
    """Refuse an address that carries a name or a password: what is made of it can be read by others."""
    from installers.core.component.places import carries_login

    if carries_login(address):
        raise Failure("OLR-CLI-016", given=given)


def check_names(option: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that is not known, with the nearest one that is."""
    names = list(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            raise Failure("OLR-CLI-001", option=option, value=name, hint=hint)
