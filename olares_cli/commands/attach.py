"""``attach``: follow a run by its file; a finished one is shown to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from installers.core.errors import Failure
from olares_cli.options import command, examples
from olares_cli.runs.follow import Follower, run_files, run_id
from olares_cli.runs.launch import follow
from olares_cli.session import Session


def complete_run(incomplete: str) -> list[str]:
    return [run_id(path) for path in run_files(Session().paths.logs) if run_id(path).startswith(incomplete)]


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "attach",
        help=help,
        hidden=hidden,
        epilog=examples("olares-cli attach", "olares-cli attach --output jsonl", "olares-cli attach RUN"),
    )(command(attach))


def attach(
    session: Session,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="The run; without it the latest.", autocompletion=complete_run)
    ] = "",
) -> int:
    path = _file_of(session, run)
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise Failure("OLR-CLI-002", file=path, reason=error.strerror) from error
    with file:
        return follow(session, Follower(file, str(path)))


def _file_of(session: Session, run: str) -> Path:
    files = run_files(session.paths.logs)
    matching = [path for path in files if not run or run_id(path) == run]
    if not matching:
        raise Failure("OLR-CLI-013", run=run or "any run", logs=session.paths.logs)
    return matching[-1]
