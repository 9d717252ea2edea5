"""The results of precheck: what failed comes with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from olares_cli.ui.amounts import counted
from olares_cli.ui.plan import Block
from olares_cli.ui.text import Span, Table, line
from olares_cli.ui.theme import STATES

if TYPE_CHECKING:
    from olares_cli.verbs import CheckResult


def blocking(results: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """The failed checks that forbid an install."""
    return tuple(r for r in results if r.status == "failed" and r.severity == "error")


def checks_page(results: Sequence[CheckResult], *, shown: Sequence[CheckResult]) -> list[Block]:
    """The blocks of a page about all results, of which those ``shown`` have a row."""
    rows = tuple(
        (
            Span(r.title),
            Span(r.severity if r.status == "failed" and r.severity != "error" else r.status, _meaning(r)),
            Span(r.id, "faint"),
            Span(r.detail),
        )
        for r in shown
    )
    page: list[Block] = [Table(("CHECK", "RESULT", "ID", "DETAIL"), rows)]
    for result in results:
        if result.status == "failed" and result.severity != "info":
            page += [line(), line(Span(result.id, "strong"), f": {result.detail}"), line(f"  Do: {result.advice}")]
    stopped = len(blocking(results))
    verdict = (
        line(Span(counted(stopped, "problem"), "bad"), " in the way of an install.")
        if stopped
        else line(Span("Nothing in the way", "good"), " of an install.")
    )
    notes = []
    if elsewhere := len(results) - len(shown):
        does = "does" if elsewhere == 1 else "do"
        notes.append(line(f"{counted(elsewhere, 'check')} {does} not concern this computer; --all shows them."))
    if not_run := sum(r.status == "not-run" for r in shown):
        notes.append(line(f"{counted(not_run, 'check')} could not be made."))
    return [*page, line(), *notes, verdict]


def concerning(results: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """The results a person wants to see: none that is fine because it is about another kind of computer."""
    return tuple(r for r in results if r.concerns)


def _meaning(result: CheckResult) -> str:
    if result.status == "failed" and result.severity != "error":
        return "warning"
    return STATES.get(result.status, "plain")
