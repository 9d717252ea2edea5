"""``config schema`` (hidden): the configuration file as a JSON schema, for editors."""

from __future__ import annotations

import json

import typer

from olares_cli.options import command, examples
from olares_cli.session import Code, Session


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    group = typer.Typer(help=help, hidden=hidden, rich_markup_mode=None, no_args_is_help=True)
    group.callback()(_config)
    group.command(
        "schema",
        help="Print the JSON schema of olares.yaml.",
        epilog=examples("olares-cli config schema > olares.schema.json"),
    )(command(schema))
    app.add_typer(group, name="config")


def _config() -> None:
    """Keeps ``schema`` a command of its own, although it is the only one."""


def schema(session: Session) -> int:
    from installers.core.component.sitefile import json_schema

    session.data(json.dumps(json_schema(), indent=2))
    return Code.FINE
