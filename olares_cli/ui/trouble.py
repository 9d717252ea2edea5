"""How a failure looks: id, what happened, every problem, what to do next."""

from __future__ import annotations

from installers.core.errors import Failure
from olares_cli.session import Session
from olares_cli.ui.text import Line, Span, line, show


def problems_of(failure: Failure) -> tuple[str, ...]:
    """The single problems a failure carries beside its one line, each as text."""
    found = failure.fields.get("problems", ())
    return tuple(str(problem) for problem in found) if isinstance(found, tuple | list) else ()


def trouble_lines(*, id: str, what: str, next: str, problems: tuple[str, ...] = ()) -> list[Line]:
    lines = [line(Span("Error ", "bad"), Span(id, "strong"), f": {what}")]
    lines += [line(f"  {problem}") for problem in problems]
    if next:
        lines.append(line(Span("  Do: ", "strong"), next))
    if id:
        lines.append(line(Span(f"  Why: olares-cli explain {id}", "faint")))
    return lines


def show_failure(session: Session, failure: Failure) -> None:
    """Tell a failure on standard error, and as data when data is wanted."""
    problems = problems_of(failure)
    show(
        session,
        trouble_lines(id=failure.id, what=failure.what, next=failure.next, problems=problems),
        stream=session.err,
    )
    if not session.human:
        session.record(
            {
                "type": "failure",
                "id": failure.id,
                "what": failure.what,
                "next": failure.next,
                "problems": list(problems),
            }
        )
