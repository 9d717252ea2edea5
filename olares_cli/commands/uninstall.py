"""``uninstall``: undo of everything ever recorded; user data stays unless it is asked for by name."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from olares_cli.asking import confirm, confirm_name, need_root
from olares_cli.commands.choices import YES
from olares_cli.options import command, examples
from olares_cli.runs.launch import carry_out
from olares_cli.runs.request import Request
from olares_cli.session import Session


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "uninstall",
        help=help,
        hidden=hidden,
        epilog=examples(
            "sudo olares-cli uninstall            # keeps user data; the next install finds it",
            "sudo olares-cli uninstall --all      # user data too; asks for this machine's name",
        ),
    )(command(uninstall))


def uninstall(
    session: Session,
    all: Annotated[bool, typer.Option("--all", help="Remove user data and its secrets too.")] = False,
    yes: Annotated[bool, YES] = False,
) -> int:
    need_root("uninstall")
    if not yes and all:
        name = platform.node()
        session.say("This removes Olares and all user data on this machine. There is no way back.")
        confirm_name(session, f"Type this machine's name ({name}) to go on", name)
    elif not yes:
        confirm(session, f"Remove Olares from this machine? User data in {session.paths.volumes} is kept.")
    return carry_out(session, Request("uninstall", everything="all" if all else "keep-data"))
