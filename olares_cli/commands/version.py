"""``version``."""

from __future__ import annotations

import typer

from olares_cli.options import command, examples
from olares_cli.session import Code, Session


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "version",
        help=help,
        hidden=hidden,
        epilog=examples("olares-cli version", "olares-cli version --output json"),
    )(command(show))


def show(session: Session) -> int:
    if session.human:
        session.data(f"olares-cli {number()}")
    else:
        session.record({"type": "version", "version": number()})
    return Code.FINE


def number() -> str:
    """This program's version."""
    from importlib.metadata import version

    return version("olares")
