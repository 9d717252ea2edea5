"""``install``: check, plan, ask, and carry out in a unit of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from installers.core.errors import Failure
from olares_cli import here, verbs
from olares_cli.asking import confirm, need_root
from olares_cli.commands import plan as planning
from olares_cli.commands.choices import ACCEPT_EOL, KUBE, PHASE, SKIP_PHASE, SOURCE, TRUST, WAIVE, YES
from olares_cli.commands.precheck import checked
from olares_cli.options import command, examples
from olares_cli.runs.launch import carry_out
from olares_cli.runs.request import Request
from olares_cli.session import Code, Session
from olares_cli.ui.checks import blocking
from olares_cli.ui.plan import plan_page
from olares_cli.ui.text import show


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "install",
        help=help,
        hidden=hidden,
        epilog=examples(
            "sudo olares-cli install                    # shows the plan and asks",
            "sudo olares-cli install --yes              # asks nothing",
            "sudo olares-cli install --plan plan.json   # exactly this plan, or nothing",
            "sudo olares-cli install --phase platform",
            "sudo olares-cli install --source bundle:/media/stick/olares.tar.zst --trust sha256:FINGERPRINT",
        ),
    )(command(install))


def install(
    session: Session,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Carry out exactly this saved plan.")
    ] = None,
    phase: Annotated[list[str] | None, PHASE] = None,
    skip_phase: Annotated[list[str] | None, SKIP_PHASE] = None,
    source: Annotated[str, SOURCE] = "",
    kube: Annotated[str, KUBE] = "",
    accept_eol: Annotated[bool, ACCEPT_EOL] = False,
    trust: Annotated[str, TRUST] = "",
    yes: Annotated[bool, YES] = False,
    waive: Annotated[list[str] | None, WAIVE] = None,
) -> int:
    saved = planning.saved(plan) if plan else None
    if saved:
        # Carrying out a saved plan makes the choices it was made with.
        source, kube = source or saved.get("source", ""), kube or saved.get("kube", "")
    request = Request(
        "install",
        phases=tuple(phase or ()),
        skip_phases=tuple(skip_phase or ()),
        source=source,
        kube=kube,
        accept_eol=accept_eol,
        trust=trust,
        saved_plan=saved,
    )
    options = here.options_for(session, request)
    need_root("install")
    results = checked(session, options, waive or [])
    if stopped := blocking(results):
        problems = tuple(f"{r.id}: {r.detail} Do: {r.advice}" for r in stopped)
        raise Failure("OLR-CLI-005", count=len(stopped), problems=problems)
    if plan or yes:
        return carry_out(session, request)
    planned = verbs.load().plan(options, here.probe(options.site))
    code = planning.plan_code(planned)
    show(session, plan_page(planned, verbosity=session.verbosity), stream=session.err)
    if code is Code.BLOCKED:
        problems = tuple(item.step.resource.key for item in planned.blocked())
        raise Failure("OLR-CLI-012", count=len(problems), problems=problems)
    if code is not Code.FINE:
        confirm(session, "Carry this out?")
    return carry_out(session, replace(request, saved_plan=planned.to_json()))
