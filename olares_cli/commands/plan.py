"""``plan``: what would change, said before anything does."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from installers.core.errors import Failure
from olares_cli import here, verbs
from olares_cli.commands.choices import ACCEPT_EOL, KUBE, PHASE, SKIP_PHASE, SOURCE, TRUST
from olares_cli.options import command, examples
from olares_cli.session import Code, Session
from olares_cli.ui.plan import plan_page
from olares_cli.ui.text import show
from olares_cli.verbs import Plan


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "plan",
        help=help,
        hidden=hidden,
        epilog=examples(
            "olares-cli plan",
            "olares-cli plan -o plan.json && sudo olares-cli install --plan plan.json",
            "olares-cli plan --output json | jq .steps",
        ),
    )(command(plan))


def plan(
    session: Session,
    file: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Save the plan for `install --plan`.")] = None,
    phase: Annotated[list[str] | None, PHASE] = None,
    skip_phase: Annotated[list[str] | None, SKIP_PHASE] = None,
    source: Annotated[str, SOURCE] = "",
    kube: Annotated[str, KUBE] = "",
    accept_eol: Annotated[bool, ACCEPT_EOL] = False,
    trust: Annotated[str, TRUST] = "",
) -> int:
    options = here.options(
        session,
        phases=tuple(phase or ()),
        skip_phases=tuple(skip_phase or ()),
        source=source,
        kube=kube,
        accept_eol=accept_eol,
        trust=trust,
    )
    planned = verbs.load().plan(options, here.probe(options.site))
    show_plan(session, planned)
    if file is not None:
        save(planned, file)
        session.say(f"Saved: {file}. `olares-cli install --plan {file}` carries out exactly this.")
    return plan_code(planned)


def show_plan(session: Session, planned: Plan) -> None:
    if session.human:
        show(session, plan_page(planned, verbosity=session.verbosity), stream=session.out)
    else:
        session.record({"type": "plan", **planned.to_json()})


def plan_code(planned: Plan) -> Code:
    if planned.blocked():
        return Code.BLOCKED
    return Code.PENDING if planned.changes() or planned.deferred() else Code.FINE


def save(planned: Plan, file: Path) -> None:
    """Write the plan as one step, so that a half-written one is never carried out."""
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(descriptor, "w") as out:
            json.dump(planned.to_json(), out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)
    except OSError as error:
        if name:
            with suppress(OSError):
                Path(name).unlink()
        raise Failure("OLR-CLI-011", file=file, reason=error.strerror) from error


def saved(file: Path) -> dict[str, Any]:
    """A plan that ``save`` wrote."""
    try:
        content = json.loads(file.read_text())
    except OSError as error:
        raise Failure("OLR-CLI-002", file=file, reason=error.strerror) from error
    except ValueError as error:
        raise Failure("OLR-CLI-003", file=file) from error
    if not isinstance(content, dict) or content.get("version") != 1 or not isinstance(content.get("steps"), list):
        raise Failure("OLR-CLI-003", file=file)
    return content
