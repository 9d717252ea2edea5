"""``run`` (hidden): what a run's own unit executes."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from olares_cli.options import command
from olares_cli.runs.launch import ENDS
from olares_cli.runs.perform import perform
from olares_cli.runs.request import take_request
from olares_cli.session import Code, Session


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command("run", help=help, hidden=hidden)(command(run))


def run(session: Session, request: Annotated[str, typer.Argument(help="The request's file; it is removed.")]) -> int:
    asked = take_request(request)
    os.environ.update(asked.environment)
    result = perform(replace(session, environ=os.environ), asked)
    return ENDS.get(result.status, Code.FAILED)
