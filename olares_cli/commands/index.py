"""``index``: the list of what is installed: whose it is, a newer signed one, and what upstream projects publish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from installers.core.errors import Failure
from installers.site import LOCK
from olares_cli import here
from olares_cli.asking import need_root
from olares_cli.commands.bundle import DAYS, DEFAULT_DAYS, DEFAULT_KEYS, KEYS, absolute, fingerprint_shown
from olares_cli.commands.choices import TRUST
from olares_cli.options import command, examples
from olares_cli.session import Code, Session
from olares_cli.ui.text import Span, Table, show

if TYPE_CHECKING:
    from installers.core.artifacts.upstream import Compared

PLACE = Annotated[str, typer.Argument(metavar="PLACE", help="A directory, or the address of one on a web server.")]
FOLDER = Annotated[
    Path, typer.Argument(metavar="DIR", help="Where it lies; index/*.yaml there is signed, the program's own if none.")
]


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    group = typer.Typer(help=help, hidden=hidden, rich_markup_mode=None, no_args_is_help=True)

    def add(function: Callable[..., int], about: str, *lines: str, name: str = "") -> None:
        group.command(name or function.__name__, help=about, epilog=examples(*lines))(command(function))

    add(
        refresh,
        "Ask projects for their digests; show what is new or differs.",
        "olares-cli index refresh",
        "olares-cli index refresh k3s --output json",
    )
    add(
        show_,
        "Show which index is in use, and what a taken one would change.",
        "olares-cli index show",
        name="show",
    )
    add(
        take,
        "Take a newer signed index; `index use` puts it to use.",
        "sudo olares-cli index take https://example.org/olares-index --trust sha256:FINGERPRINT",
    )
    add(use, "Go by the index that was taken last.", "sudo olares-cli index use")
    add(drop, "Go back to the program's own index.", "sudo olares-cli index drop")
    add(
        publish,
        "Sign an index for others, with the keys of your bundles.",
        "sudo olares-cli index publish /srv/olares-index",
    )
    app.add_typer(group, name="index")


def show_(session: Session) -> int:
    from installers.core.artifacts.inuse import TAKEN, USED, folder, lapsed, own_made, read
    from installers.core.artifacts.signed import changes

    place = folder(session.paths.state)
    late = lapsed(session.paths.state)
    used, taken, rows = None if late else read(place, USED), read(place, TAKEN), changes(session.paths)
    if not session.human:
        named = {"used": used, "taken": taken, "lapsed": late, "own": own_made()}
        session.record({"type": "index", **named, "changes": [asdict(row) for row in rows]})
        return Code.FINE
    if used is None:
        session.data(f"in use: the program's own, version {own_made()}, trusted with the program")
    else:
        session.data(f"in use: version {used.version} of {used.place}")
        session.data(f"signed by {used.fingerprint}; could be taken up until {used.expires}")
    if late:
        session.data(f"not in use: version {late.version} of {late.place}, older than the program's own")
    elif taken and taken != used:
        session.data(f"taken, not in use (`olares-cli index use`): version {taken.version} of {taken.place}")
        for row in rows:
            session.data(f"  {row.name}: {row.before or 'none'} -> {row.after or 'none'}")
    return Code.FINE


def take(session: Session, place: PLACE, trust: Annotated[str, TRUST] = "") -> int:
    from installers.core.artifacts.index import architecture
    from installers.core.artifacts.inuse import USED, folder, read
    from installers.core.artifacts.signed import take as keep

    need_root("index take")
    here.site(session)  # for its way out
    row = keep(absolute(place), session.paths, trust=trust, arch=architecture(), lock=LOCK)
    session.say(f"Taken: version {row.version}, signed by {row.fingerprint}.")
    if read(folder(session.paths.state), USED) != row:
        session.say("This host is installed and goes on with the index it has; see `olares-cli index show`,")
        session.say("then `olares-cli index use` and `olares-cli plan`.")
    else:
        session.say(
            "Next: `olares-cli plan` shows what an install would do with it; `olares-cli index drop` goes back."
        )
    return Code.FINE


def use(session: Session) -> int:
    from installers.core.artifacts.signed import use as put_to_use

    need_root("index use")
    row = put_to_use(session.paths, lock=LOCK)
    session.say(f"In use: version {row.version}, signed by {row.fingerprint}. `olares-cli plan` shows what changes.")
    return Code.FINE


def drop(session: Session) -> int:
    from installers.core.artifacts.signed import drop as go_back

    need_root("index drop")
    session.say("The program's own index is in use." if go_back(session.paths, lock=LOCK) else "It was in use already.")
    return Code.FINE


def publish(session: Session, folder: FOLDER, keys: KEYS = DEFAULT_KEYS, days: DAYS = DEFAULT_DAYS) -> int:
    from installers.core.artifacts.signed import publish as sign

    need_root("index publish")
    fingerprint = sign(folder.absolute(), keys, valid=timedelta(days=days))
    session.say(
        f"Signed, to be taken within {days} days. Elsewhere: sudo olares-cli index take PLACE --trust {fingerprint}"
    )
    return fingerprint_shown(session, fingerprint)


def refresh(
    session: Session,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Only these releases.")] = None,
) -> int:
    from installers.core.artifacts.upstream import State, compare, upstream

    site = here.site(session)
    session.say("Asking the projects for their lists of digests...")
    rows = compare(tuple(names or ()), among=upstream(site.index))
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
