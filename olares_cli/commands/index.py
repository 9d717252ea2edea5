"""``index``: the files of upstream releases that are pinned, against what their projects publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from installers.core.errors import Failure
from olares_cli import here
from olares_cli.options import command, examples
from olares_cli.session import Code, Session
from olares_cli.ui.text import Span, Table, show

if TYPE_CHECKING:
    from installers.core.artifacts.upstream import Compared


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    group = typer.Typer(help=help, hidden=hidden, rich_markup_mode=None, no_args_is_help=True)
    group.callback()(_index)
    group.command(
        "refresh",
        help="Ask projects for their digests; show what is new or differs.",
        epilog=examples("olares-cli index refresh", "olares-cli index refresh k3s --output json"),
    )(command(refresh))
    app.add_typer(group, name="index")


def _index() -> None:
    """Keeps ``refresh`` a command of its own, although it is the only one."""


def refresh(
    session: Session,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Only these releases.")] = None,
) -> int:
    from installers.core.artifacts.upstream import State, compare

    here.site(session)  # for its way out
    session.say("Asking the projects for their lists of digests...")
    rows = compare(tuple(names or ()))
    if all(row.state is State.UNREACHED for row in rows):
        raise Failure("OLR-ART-016", reason=rows[0].why)
    if session.human:
        show(session, [_table(rows)], stream=session.out)
    else:
        session.record({"type": "digests", "files": [asdict(row) for row in rows]})
    if differing := [f"{row.release} ({row.arch})" for row in rows if row.state is State.DIFFERS]:
        raise Failure("OLR-ART-017", files=", ".join(differing))
    return Code.FINE if all(row.state is State.SAME for row in rows) else Code.PENDING


_MEANING = {"same": "good", "differs": "bad"}


def _table(rows: Sequence[Compared]) -> Table:
    cells = tuple(
        (
            Span(row.release, "strong"),
            Span(row.version),
            Span(row.arch),
            Span(str(row.state), _MEANING.get(row.state, "warning")),
            Span(row.published or row.why),
        )
        for row in rows
    )
    return Table(("RELEASE", "VERSION", "ARCH", "DIGEST", "PUBLISHED"), cells)
