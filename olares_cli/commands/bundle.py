"""``bundle``: an installation in one signed directory or file, for hosts with no way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from olares_cli import here
from olares_cli.asking import confirm, need_root
from olares_cli.commands.choices import KUBE, TRUST, YES
from olares_cli.options import command, examples
from olares_cli.session import Code, Session
from olares_cli.ui.text import Line, Span, Table, line, show
from olares_cli.ui.view import view_for

if TYPE_CHECKING:
    from installers.bundle import Made
    from installers.core.artifacts.depot.contents import Served
    from installers.core.artifacts.depot.open import Depot
    from installers.core.artifacts.report import Report
    from installers.core.model.events import Emit

PATH = Annotated[
    str,
    typer.Argument(
        metavar="PATH", help="The bundle: a directory, a .tar.zst file, or the address of a directory on a web server."
    ),
]
KEYS = Annotated[Path, typer.Option("--keys", metavar="DIR", help="The maker's keys; made at first use.")]
DAYS = Annotated[int, typer.Option("--days", metavar="N", min=1, max=3650, help="How long it can be taken up.")]
DEFAULT_KEYS = Path("/etc/olares/keys")
DEFAULT_DAYS = 400


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    group = typer.Typer(help=help, hidden=hidden, rich_markup_mode=None, no_args_is_help=True)

    def add(function: Callable[..., int], about: str, *lines: str, name: str = "") -> None:
        group.command(name or function.__name__, help=about, epilog=examples(*lines))(command(function))

    add(
        create,
        "Fetch, build and sign everything an installation needs.",
        "sudo olares-cli bundle create -o /media/stick/olares.tar.zst",
        "sudo olares-cli bundle create --edition upstream --accept-tags -o /srv/olares-bundle",
    )
    add(
        verify,
        "Check signatures and every file of a bundle; change nothing.",
        "olares-cli bundle verify /media/stick/olares.tar.zst --trust sha256:FINGERPRINT",
    )
    add(
        show_,
        "Show what a bundle is for, its maker and its end.",
        "olares-cli bundle show /media/stick/olares.tar.zst",
        name="show",
    )
    add(sign, "Sign your own bundle again, with a new end.", "sudo olares-cli bundle sign olares.tar.zst --days 800")
    add(keys, "Show your fingerprint; your keys are made if you have none.", "sudo olares-cli bundle keys")
    add(rotate, "Make new keys; those who trust you follow.", "sudo olares-cli bundle rotate")
    app.add_typer(group, name="bundle")


def create(
    session: Session,
    file: Annotated[Path, typer.Option("-o", metavar="FILE", help="Where to write it: FILE.tar.zst, or a directory.")],
    edition: Annotated[str, typer.Option("--edition", metavar="NAME", help="debian or upstream.")] = "debian",
    kube: Annotated[str, KUBE] = "",
    keys: KEYS = DEFAULT_KEYS,
    days: DAYS = DEFAULT_DAYS,
    accept_tags: Annotated[
        bool,
        typer.Option("--accept-tags", help="Take images without a known digest as their registries serve them now."),
    ] = False,
    arch: Annotated[
        str, typer.Option("--arch", metavar="NAME", help="For amd64 or arm64 hosts; what is built is for this one's.")
    ] = "",
) -> int:
    from installers.bundle import Order
    from installers.bundle import create as make

    here.check_names("--edition", [edition], ("debian", "upstream"))
    here.check_names("--arch", [arch] if arch else [], ("amd64", "arm64"))
    need_root("bundle create")
    site = replace(here.site(session, source=edition, kube=kube), edition=edition)
    order = Order(site, file, keys, timedelta(days=days), accept_tags, arch)
    with _told(session) as emit:
        made = make(order, here.probe(), emit)
    return _made(session, made)


def verify(session: Session, path: PATH, trust: Annotated[str, TRUST] = "") -> int:
    from installers.core.artifacts.depot.open import check_files, examine

    depot = examine(absolute(path), session.paths, trust=trust)
    check_files(depot, _reporting(session))
    _show(session, depot, "verified")
    session.say(f"Every signature and all {len(depot.targets)} files are right.")
    return Code.FINE


def show_(session: Session, path: PATH) -> int:
    from installers.core.artifacts.depot.open import claimed, examine
    from installers.core.artifacts.depot.trust import Trust

    place = absolute(path)
    maker = claimed(place, session.paths)
    trusted = Trust(Path(session.paths.state) / "trust").has(maker)
    # Whether it can be trusted is asked where it is used; here it has to be sound in itself.
    _show(session, examine(place, session.paths, trust=maker), "trusted here" if trusted else "not trusted here yet")
    return Code.FINE


def sign(session: Session, path: PATH, keys: KEYS = DEFAULT_KEYS, days: DAYS = DEFAULT_DAYS) -> int:
    from installers.bundle import sign_again

    need_root("bundle sign")
    sign_again(Path(absolute(path)), keys, timedelta(days=days), _reporting(session))
    session.say(f"Signed again; it can be taken up for {days} days from now.")
    return Code.FINE


def keys(session: Session, keys: KEYS = DEFAULT_KEYS) -> int:
    from installers.core.artifacts.depot.keys import publisher

    need_root("bundle keys")
    return fingerprint_shown(session, publisher(keys).fingerprint)


def rotate(session: Session, keys: KEYS = DEFAULT_KEYS, yes: Annotated[bool, YES] = False) -> int:
    from installers.core.artifacts.depot.keys import rotated

    need_root("bundle rotate")
    if not yes:
        confirm(session, f"Make new keys in {keys} and remove the old ones?")
    code = fingerprint_shown(session, rotated(keys).fingerprint)
    session.say("Bundles signed from now on carry the change; sign those in use again: `olares-cli bundle sign PATH`.")
    return code


def absolute(path: str) -> str:
    if not path.startswith(("http://", "https://")):
        return str(Path(path).absolute())
    here.require_open(path, given="the place")
    return path


def fingerprint_shown(session: Session, fingerprint: str) -> int:
    if session.human:
        session.data(fingerprint)
    else:
        session.record({"type": "maker", "fingerprint": fingerprint})
    return Code.FINE


def _made(session: Session, made: Made) -> int:
    if session.human:
        session.data(f"{made.output}: {made.files} files, {made.size / 1e6:.0f} MB")
    else:
        row = {"output": str(made.output), "files": made.files, "size": made.size, "fingerprint": made.fingerprint}
        session.record({"type": "bundle", **row, "contents": made.contents})
    if by_tag := [one for one in made.contents.images if one.by_tag]:
        session.say("\n  Taken by their tags; whoever trusts this bundle takes your word for them:")
        for one in by_tag:
            session.say(f"  {one.reference}\n    {one.digest}")
    session.say(f"""
  Elsewhere   sudo olares-cli install --source bundle:PATH --trust {made.fingerprint}
  Tell those who install it this fingerprint by another way than the bundle; they give it once.""")
    return Code.FINE


def _show(session: Session, depot: Depot, state: str) -> None:
    from installers.core.artifacts.reference import without_digest

    contents = depot.contents
    size = sum(target.size for target in depot.targets.values())
    if not session.human:
        row: dict[str, Any] = {"path": depot.place, "fingerprint": depot.fingerprint, "state": state}
        row |= {"expires": depot.expires, "files": len(depot.targets), "size": size, "contents": contents}
        session.record({"type": "bundle", **row})
        return
    system = f"{contents.family} {contents.release}".strip() or "any"
    rows = (
        ("for", f"{system}, {contents.architecture}, engine {contents.engine}, edition {contents.edition}"),
        ("components", ", ".join(contents.components)),
        ("made", f"{contents.made} by olares {contents.by}"),
        ("can be taken up until", depot.expires),
        ("maker", f"{depot.fingerprint} ({state})"),
        ("files", f"{len(depot.targets)}, {size / 1e6:.0f} MB unpacked"),
    )
    cells = tuple((Span(name, "faint"), Span(text)) for name, text in rows)
    blocks: list[Line | Table] = [Table(("BUNDLE", depot.place), cells)]
    if contents.images:
        images = tuple((Span(without_digest(one.reference)), Span(image_digest(one))) for one in contents.images)
        blocks += [line(), Table(("IMAGE", "DIGEST"), images)]
    show(session, blocks, stream=session.out)


def image_digest(image: Served) -> str:
    """What an image of a registry was fetched by; said of those whose digest nobody had pinned."""
    return f"{image.digest}, by its tag when the bundle was made" if image.by_tag else image.digest


@contextmanager
def _told(session: Session) -> Iterator[Emit]:
    with view_for(session) as view:
        yield view.show


def _reporting(session: Session) -> Report:
    from olares_cli.ui.telling import Telling

    return Telling(session)
