"""Options that several commands share, with their completions."""

from __future__ import annotations

import typer

from installers.core.errors import catalogue
from installers.phases import PHASES


def complete_phase(incomplete: str) -> list[tuple[str, str]]:
    return [(phase.name, phase.title) for phase in PHASES if phase.name.startswith(incomplete)]


def complete_error(incomplete: str) -> list[tuple[str, str]]:
    return [(id, entry.what) for id, entry in sorted(catalogue().items()) if id.startswith(incomplete.upper())]


def complete_check(incomplete: str) -> list[tuple[str, str]]:
    from installers.precheck.run import checks
    from installers.site import Site

    return [(check.id, check.title) for check in checks(Site()) if check.id.startswith(incomplete)]


def complete_source(incomplete: str) -> list[str]:
    from installers.core.component.sitefile import SOURCES

    return [name for name in SOURCES if name.startswith(incomplete)]


def complete_kube(incomplete: str) -> list[str]:
    from installers.core.component.sitefile import KUBES

    return [name for name in KUBES if name.startswith(incomplete)]


PHASE = typer.Option("--phase", metavar="PHASE", help="Only this phase (repeatable).", autocompletion=complete_phase)
SKIP_PHASE = typer.Option(
    "--skip-phase", metavar="PHASE", help="All but this phase (repeatable).", autocompletion=complete_phase
)
SOURCE = typer.Option(
    "--source", metavar="NAME", help="Where the bits come from.", autocompletion=complete_source, show_default=False
)
KUBE = typer.Option(
    "--kube", metavar="NAME", help="The Kubernetes engine.", autocompletion=complete_kube, show_default=False
)
ACCEPT_EOL = typer.Option(
    "--accept-eol", help="Accept Debian's Kubernetes on a real host, although upstream has ended its support."
)
TRUST = typer.Option(
    "--trust",
    metavar="FINGERPRINT",
    help="Accept bundles of this maker (sha256:...), once and from then on.",
    show_default=False,
)
WAIVE = typer.Option(
    "--waive",
    metavar="ID",
    help="Go on although this check fails (repeatable).",
    autocompletion=complete_check,
)
YES = typer.Option("--yes", "-y", help="Do not ask.")
