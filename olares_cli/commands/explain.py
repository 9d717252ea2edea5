"""``explain``: the catalogue of errors, offline."""

from __future__ import annotations

import difflib
import re
from typing import Annotated

import typer

from installers.core.errors import Entry, Failure, catalogue
from olares_cli.commands.choices import complete_error
from olares_cli.options import command, examples
from olares_cli.session import Code, Session
from olares_cli.ui.text import Line, Span, Table, line, show


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    app.command(
        "explain",
        help=help,
        hidden=hidden,
        epilog=examples("olares-cli explain OLR-CLI-004", "olares-cli explain      # all of them"),
    )(command(explain))


def explain(
    session: Session,
    id: Annotated[
        str, typer.Argument(metavar="ID", help="The error's id; without it all.", autocompletion=complete_error)
    ] = "",
) -> int:
    entries = catalogue()
    wanted = id.upper()
    if wanted and wanted not in entries:
        near = difflib.get_close_matches(wanted, entries, n=3, cutoff=0.8) or _same_area(wanted, entries)
        raise Failure("OLR-CLI-014", id=id, near=", ".join(near) or "none")
    chosen = {wanted: entries[wanted]} if wanted else dict(sorted(entries.items()))
    if not session.human:
        for name, entry in chosen.items():
            session.record({"type": "error", "id": name, "what": entry.what, "next": entry.next, "why": entry.why})
    elif wanted:
        show(session, page(wanted, entries[wanted]), stream=session.out)
    else:
        rows = tuple((Span(name, "strong"), Span(placeholders(entry.what))) for name, entry in chosen.items())
        show(session, [Table(("ID", "WHAT"), rows)], stream=session.out)
    return Code.FINE


def _same_area(id: str, entries: dict[str, Entry]) -> list[str]:
    area = id.rpartition("-")[0]
    return [name for name in sorted(entries) if area and name.rpartition("-")[0] == area][:3]


def page(id: str, entry: Entry) -> list[Line]:
    return [
        line(Span(id, "strong"), f": {placeholders(entry.what)}"),
        line(),
        line(entry.why),
        line(),
        line(Span("Do: ", "strong"), placeholders(entry.next)),
    ]


def placeholders(template: str) -> str:
    """A template's fields as ``<field>``."""
    return re.sub(r"\{(\w+)[^}]*\}", r"<\1>", template)
