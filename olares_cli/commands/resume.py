"""``resume``: the rest of an interrupted run, with the choices that one was started with."""

from __future__ import annotations

import typer

from installers.site import Site
from olares_cli import verbs
from olares_cli.asking import need_root
from olares_cli.options import command, examples
from olares_cli.runs.launch import carry_out
from olares_cli.runs.request import recalled
from olares_cli.session import Session


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command("resume", help=help, hidden=hidden, epilog=examples("sudo olares-cli resume"))(command(resume))


def resume(session: Session) -> int:
    need_root("resume")
    install = verbs.load()
    request = install.cut_off(install.Options(Site(paths=session.paths)))
    if request is None:
        session.say("Nothing to resume: no run was cut off. `olares-cli status` shows every component.")
        return 0
    return carry_out(session, recalled(request))
