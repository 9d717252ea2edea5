"""``facts show``: what this machine says of itself."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any, cast

import typer

from installers.core.model import Fact, Unknown
from olares_cli import here
from olares_cli.options import command, examples
from olares_cli.session import Code, Session
from olares_cli.ui.text import Span, Table, show


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    group = typer.Typer(help=help, hidden=hidden, rich_markup_mode=None, no_args_is_help=True)
    group.callback()(_facts)
    group.command(
        "show",
        help="Show every fact that needs no argument.",
        epilog=examples("olares-cli facts show", "olares-cli facts show memory", "olares-cli facts show --output json"),
    )(command(show_facts))
    app.add_typer(group, name="facts")


def _facts() -> None:
    """Keeps ``show`` a command of its own, although it is the only one."""


def show_facts(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only facts whose name contains this.")] = "",
) -> int:
    probe = here.probe()
    chosen = [fact for fact in known() if name.lower() in type(fact).__name__.lower()]
    here.check_names("NAME", [name] if name and not chosen else [], [type(fact).__name__ for fact in known()])
    found = [(type(fact).__name__, fact.load(probe)) for fact in chosen]
    if session.human:
        rows = tuple(
            (Span(fact), Span(value.reason, "warning") if isinstance(value, Unknown) else Span(_text(value)))
            for fact, value in found
        )
        show(session, [Table(("FACT", "VALUE"), rows)], stream=session.out)
    else:
        session.record({"type": "facts", "facts": {fact: _plain(value) for fact, value in found}})
    return Code.FINE


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
