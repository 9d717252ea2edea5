"""``undo``: the latest run taken back, step by step, in reverse."""

from __future__ import annotations

from typing import Annotated

import typer

from olares_cli.asking import confirm, need_root
from olares_cli.commands.choices import YES
from olares_cli.options import command, examples
from olares_cli.runs.launch import carry_out
from olares_cli.runs.request import Request
from olares_cli.session import Session


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "undo", help=help, hidden=hidden, epilog=examples("sudo olares-cli undo", "sudo olares-cli undo --yes")
    )(command(undo))


def undo(session: Session, yes: Annotated[bool, YES] = False) -> int:
    need_root("undo")
    if not yes:
        confirm(session, "Take back everything the latest run did?")
    return carry_out(session, Request("undo"))
