"""``facts``: what this machine says of itself, shown, and written down for somebody else to look at."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import pkgutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from installers.core.errors import Failure
from installers.core.model import Fact, Probe, Unknown
from installers.site import Site
from olares_cli import here, verbs
from olares_cli.commands.version import number
from olares_cli.options import command, examples
from olares_cli.recordings import FROM, RECORDING, recording, replay, save
from olares_cli.session import Code, Session
from olares_cli.ui.text import Span, Table, show

if TYPE_CHECKING:
    from installers.core.host.archive import Archive


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    group = typer.Typer(help=help, hidden=hidden, rich_markup_mode=None, no_args_is_help=True)
    group.command(
        "show",
        help="Show every fact that needs no argument.",
        epilog=examples("olares-cli facts show", "olares-cli facts show memory", "olares-cli facts show --output json"),
    )(command(show_facts))
    group.command(
        "record",
        help="Record this machine for a report, with its names replaced.",
        epilog=examples("olares-cli facts record", "olares-cli facts record FILE", "olares-cli facts record -"),
    )(command(record_facts))
    app.add_typer(group, name="facts")


def show_facts(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Only facts whose name contains this.")] = "",
    from_: Annotated[str, FROM] = "",
) -> int:
    from installers.precheck.record import load_facts

    probe: Probe = replay(recording(from_)) if from_ else here.probe()
    chosen = [fact for fact in known() if name.lower() in type(fact).__name__.lower()]
    here.check_names("NAME", [name] if name and not chosen else [], [type(fact).__name__ for fact in known()])
    found = [(type(fact).__name__, value) for fact, value in load_facts(probe, chosen).items()]
    if session.human:
        rows = tuple(
            (Span(fact), Span(value.reason, "warning") if isinstance(value, Unknown) else Span(_text(value)))
            for fact, value in found
        )
        show(session, [Table(("FACT", "VALUE"), rows)], stream=session.out)
    else:
        session.record({"type": "facts", "facts": {fact: _plain(value) for fact, value in found}})
    return Code.FINE


def record_facts(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; `-` for standard output.")] = RECORDING,
) -> int:
    from installers.precheck.record import record

    if file != "-" and Path(file).exists():
        raise Failure("OLR-REC-004", file=file)
    options = here.options(session)
    made_with = f"olares-cli {number()}"
    site = chosen(options.site, here.probe())
    made = record(site, here.probe(), known(), made_with=made_with, also=lambda probe: planned(options, probe))
    if file == "-":
        session.out.write(made.text)
    else:
        save(file, made.text)
        if not session.human:
            session.record({"type": "recording", "file": file, "scrubbed": made.archive.scrubbed})
    session.say(told(file, made.archive, root=os.geteuid() == 0))
    return Code.FINE


def chosen(site: Site, probe: Probe) -> Site:
    """The site as an install would take it; as it is where that cannot be told."""
    from installers.choice import choose

    try:
        return choose(site, probe)
    except Failure:
        return site


def planned(options: Any, probe: Probe) -> None:
    """Ask what a plan asks. That nothing can be planned here is told by the recording as it is told here."""
    # As for the checks: proxies and mirrors are somewhere else, and nobody's business. A replay asks for the lock.
    site = dataclasses.replace(options.site, proxy=None, registries=(), lock=None)
    with suppress(Failure):
        verbs.load().plan(dataclasses.replace(options, site=site), probe)


def told(file: str, archive: Archive, *, root: bool) -> str:
    """What was written, what was taken out of it, and what to do next."""
    replaced = ", ".join(f"{kind} ({count})" for kind, count in sorted(archive.scrubbed.items())) or "nothing"
    lines = [
        f"Wrote {len(archive.paths)} paths and {len(archive.queries)} answers of programs to {shown(file)}.",
        f"Replaced, each by the same name everywhere: {replaced}.",
        "Look through it before you send it: names and versions of packages, package mirrors, mount points,",
        "firewall rules and open ports are in it as they are.",
    ]
    if not root:
        lines.append("What only root may read is not in it (firewall rules, who listens on a port).")
    if file != "-":
        lines.append(f"Next: olares-cli precheck --from {file}   # what others will see; then send {file}")
    return "\n".join(lines)


def shown(file: str) -> str:
    return "standard output" if file == "-" else f"{file}, readable by you only"


def known() -> Iterator[Fact[Any]]:
    """Every fact in ``installers.core.facts`` that can be asked without an argument, by name."""
    from installers.core import facts

    for module in sorted(pkgutil.iter_modules(facts.__path__, "installers.core.facts."), key=lambda m: m.name):
        found: dict[str, Any] = vars(importlib.import_module(module.name))
        for name, kind in sorted(found.items()):
            if inspect.isclass(kind) and kind.__module__ == module.name and _askable(kind) and name[0] != "_":
                fact: Fact[Any] = cast(Any, kind)()
                yield fact


def _askable(kind: type) -> bool:
    return (
        callable(getattr(kind, "load", None))
        and dataclasses.is_dataclass(kind)
        and not inspect.isabstract(kind)
        and all(_has_default(f) for f in dataclasses.fields(kind))
    )


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _plain(value: object) -> Any:
    """A fact's value as JSON can carry it."""
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _text(value: object) -> str:
    plain = _plain(value)
    if isinstance(plain, dict):
        return ", ".join(f"{key}={item}" for key, item in plain.items()) or "none"
    if isinstance(plain, list):
        return f"{len(plain)}: {', '.join(map(str, plain[:8]))}{', …' if len(plain) > 8 else ''}" if plain else "none"
    return str(plain)
