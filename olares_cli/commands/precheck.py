"""``precheck``: every check at once, with what to do about each that fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, cast

import typer

from installers.core.errors import Failure
from installers.site import Paths
from olares_cli import here, verbs
from olares_cli.asking import need_root
from olares_cli.commands.choices import WAIVE
from olares_cli.options import command, examples
from olares_cli.recordings import FROM, recording, replay
from olares_cli.session import Code, Session
from olares_cli.ui.checks import blocking, checks_page, concerning
from olares_cli.ui.text import show
from olares_cli.verbs import CheckResult


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "precheck",
        help=help,
        hidden=hidden,
        epilog=examples("olares-cli precheck", "olares-cli precheck --output json", "olares-cli precheck --waive ID"),
    )(command(precheck))


MEASURE = typer.Option(
    "--measure-disk",
    help="Measure first how soon the disk makes writes durable: writes at most 22 MiB for 2 s, and removes them.",
    show_default=False,
)


ALL = typer.Option("--all", help="Show the checks too that do not concern this computer; JSON always has them.")


def precheck(
    session: Session,
    waive: Annotated[list[str] | None, WAIVE] = None,
    from_: Annotated[str, FROM] = "",
    measure_disk: Annotated[bool, MEASURE] = False,
    all_: Annotated[bool, ALL] = False,
) -> int:
    if measure_disk:
        if from_:
            raise Failure("OLR-DISK-003")
        need_root("precheck --measure-disk")
        measured(here.site(session).paths)
    if from_:
        results = with_waived(checked_from(from_), waive or [])
    else:
        results = checked(session, here.options(session), waive or [])
    if session.human:
        show(session, checks_page(results, shown=results if all_ else concerning(results)), stream=session.out)
    else:
        session.record({"type": "precheck", "checks": [record(r) for r in results]})
    return Code.BLOCKED if blocking(results) else Code.FINE


def checked(session: Session, options: Any, waive: Sequence[str]) -> tuple[CheckResult, ...]:
    """The results of all checks, those the user waived marked so; an unknown id is refused."""
    return with_waived(verbs.load().precheck(options, here.probe()), waive)


def measured(paths: Paths) -> None:
    """Measure the disk where state will lie, and note it where checks look. On macOS no state will lie anywhere."""
    from installers.core.facts.conditions import landing
    from installers.core.facts.platform import MacosVersion
    from installers.core.facts.storage import latency_note
    from installers.core.host.latency import measure_and_note

    probe = here.probe()
    if MacosVersion().load(probe) is None:
        measure_and_note(landing(probe, paths.state), latency_note(paths.cache))


def checked_from(file: str) -> Sequence[CheckResult]:
    """The results of all checks of the host in a recording, for the site it was recorded for."""
    from installers.precheck.record import recorded_precheck

    archive = recording(file)
    return recorded_precheck(archive, replay(archive))


def with_waived(results: Sequence[CheckResult], waive: Sequence[str]) -> tuple[CheckResult, ...]:
    here.check_names("--waive", waive, dict.fromkeys(result.id for result in results))
    return tuple(_waived(r) if r.id in waive and r.status == "failed" else r for r in results)


def _waived(result: CheckResult) -> CheckResult:
    return cast(CheckResult, replace(cast(Any, result), status="waived"))


def record(result: CheckResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "title": result.title,
        "severity": result.severity,
        "status": result.status,
        "detail": result.detail,
        "advice": result.advice,
    }
