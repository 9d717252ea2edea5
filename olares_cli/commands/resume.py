"""``resume``: the rest of an interrupted run."""

from __future__ import annotations

import typer

from olares_cli.asking import need_root
from olares_cli.options import command, examples
from olares_cli.runs.launch import carry_out
from olares_cli.runs.request import Request
from olares_cli.session import Session


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command("resume", help=help, hidden=hidden, epilog=examples("sudo olares-cli resume"))(command(resume))


def resume(session: Session) -> int:
    need_root("resume")
    return carry_out(session, Request("resume"))
