"""Options and the ``command`` decorator: global options work before and after the name of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Annotated, Any, get_type_hints

import typer

from installers.core.errors import Interrupted
from olares_cli.session import Output, Session

OutputOption = Annotated[
    Output | None, typer.Option("--output", help="Form of the data on standard output.", show_default=False)
]
VerboseOption = Annotated[
    int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Say more; tracebacks too.")
]
QuietOption = Annotated[
    int, typer.Option("--quiet", "-q", count=True, show_default=False, help="Say less: data and errors only.")
]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colours (NO_COLOR does the same).")]

_GLOBAL = {
    "output": (OutputOption, None),
    "verbose": (VerboseOption, 0),
    "quiet": (QuietOption, 0),
    "no_color": (NoColorOption, False),
}


def merged(session: Session, *, output: Output | None, verbose: int, quiet: int, no_color: bool) -> Session:
    """The session with the global options given at one more place."""
    return replace(
        session,
        output=output or session.output,
        verbosity=session.verbosity + verbose - quiet,
        colour=session.colour and not no_color,
    )


def session_of(context: typer.Context) -> Session:
    """The session the root put on the context."""
    found = context.find_root().obj
    return found if isinstance(found, Session) else Session()


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Make ``function(session, ...) -> exit code`` a Typer command with the global options added.

    A parameter that is a dataclass stands for an option of each of its fields: what several commands take.
    """
    _, *written = inspect.signature(function, eval_str=True).parameters.values()
    groups: dict[str, Any] = {p.name: p.annotation for p in written if is_dataclass(p.annotation)}

    def run(ctx: typer.Context, **given: Any) -> None:
        globals_given = {name: given.pop(name) for name in _GLOBAL}
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        try:
            code = function(merged(session_of(ctx), **globals_given), **given)
        except KeyboardInterrupt:
            raise Interrupted from None
        raise typer.Exit(int(code))

    own = [one for p in written for one in (_of_fields(p.annotation) if p.name in groups else [p])]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in _GLOBAL.items()
    ]
    context = inspect.Parameter("ctx", keyword, annotation=typer.Context)
    parameters = [context, *(p.replace(kind=keyword) for p in own), *shared]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    return run


def _of_fields(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name]) for f in fields(group)]


def examples(*lines: str) -> str:
    """An epilog with examples, kept as typed by the help formatter."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
