"""``status``: every component and what it cannot do."""

from __future__ import annotations

import time

import typer

from olares_cli import here, verbs
from olares_cli.options import command, examples
from olares_cli.session import Code, Session
from olares_cli.ui.status import FINE, status_page, status_record
from olares_cli.ui.text import show


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "status",
        help=help,
        hidden=hidden,
        epilog=examples("olares-cli status", "olares-cli status --output json | jq '.components[].state'"),
    )(command(status))


def status(session: Session) -> int:
    found = verbs.load().status(here.options(session))
    if session.human:
        show(session, status_page(found, now=time.time()), stream=session.out)
    else:
        session.record(status_record(found))
    fine = not found.unfinished and all(c.state in FINE for c in found.components)
    return Code.FINE if fine else Code.PENDING
