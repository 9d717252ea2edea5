"""How a run ended, for people: what happened, what was left and kept, what to do next."""

from __future__ import annotations

import shlex

from olares_cli.runs.records import Result, Thing, plain_record
from olares_cli.session import Session
from olares_cli.ui.amounts import counted
from olares_cli.ui.text import Line, Span, line, show
from olares_cli.ui.trouble import trouble_lines

PAST = {
    "install": "Installed",
    "resume": "Resumed to the end",
    "undo": "Undone",
    "uninstall": "Removed",
    "machine stop": "Stopped",
    "machine delete": "Deleted",
}


def show_result(session: Session, result: Result) -> None:
    """Tell a result: as data when data is wanted, and always on standard error."""
    if not session.human:
        session.record(plain_record(result))
    if session.verbosity >= 0 or result.status in ("failed", "left"):
        show(session, result_lines(result), stream=session.err)


def result_lines(result: Result) -> list[Line]:
    changes = counted(result.changes, "change")
    match result.status:
        case "done" if not result.changes:
            lines = [line(Span("Nothing to do", "good"), ": 0 changes.")]
        case "done":
            lines = [line(Span(PAST[result.verb], "good"), f": {changes}.")]
        case "left":
            lines = [line(Span(PAST[result.verb], "warning"), f": {changes}; something was left (below).")]
        case "interrupted":
            lines = [line(Span("Interrupted", "warning"), f" after {changes}; what was done is in the journal.")]
        case _:
            lines = [line(Span("Failed", "bad"), f" after {changes}; what was done is in the journal.")]
    if result.failure:
        failure = result.failure
        lines += trouble_lines(id=failure.id, what=failure.what, next=failure.next, problems=failure.problems)
    lines += _listed("Left, because it is no longer what was put there:", result.left)
    lines += _listed("Kept on purpose:", result.kept)
    paths = sorted(k.what for k in result.kept if k.what.startswith("/"))
    if paths:
        lines.append(line("  To remove it all: ", shlex.join(["rm", "-r", *paths])))
    return lines + [line(Span("Next: ", "strong"), text) for text in _next(result)]


def _listed(heading: str, things: tuple[Thing, ...]) -> list[Line]:
    return [line(heading), *(line(f"  {thing.what}: {thing.why}") for thing in things)] if things else []


ON = {"install": "resume", "resume": "resume"}
"""Which command goes on with an interrupted one, where it is not the same command again."""


def _next(result: Result) -> tuple[str, ...]:
    if result.status in ("interrupted", "failed"):
        on = (f"`olares-cli {ON.get(result.verb, result.verb)}` goes on from here",)
        return (*on, "`olares-cli undo` takes this run back") if result.verb in ON else on
    if result.status == "done" and result.verb in ON:
        return ("`olares-cli status` shows every component",)
    return ()
