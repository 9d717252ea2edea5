"""The plan as a page: by phase and component what changes, what stands in for what, and what blocks."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from installers.core.artifacts.reference import is_pinned
from installers.core.errors import Failure
from installers.core.model import Blocked, Change, Decision, Deferred, masked
from olares_cli.ui.amounts import counted
from olares_cli.ui.text import Line, Span, Table, line

if TYPE_CHECKING:
    from installers.site import Site
    from olares_cli.verbs import LeftOut, Plan, Substitute

Block = Line | Table

WIDTH = 80
"""Columns a page of text takes at most, however wide the terminal: a plan is also read in files and mails."""

NOTHING = Span("")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to be done or waited for. ``reason``: neighbours with the same one stand below it together.

    ``alone``, ``among``: text and what follows it, where the row stands by itself and where it is one of several.
    """

    mark: Span
    reason: str
    alone: tuple[str, Span]
    among: tuple[str, Span] = ("", NOTHING)
    next: str = ""


def plan_page(plan: Plan, *, verbosity: int = 0) -> list[Block]:
    """The blocks of a plan's page; with -v also what is as it should be."""
    page: list[Block] = []
    phase = before = ""
    for (of_phase, component), items in groupby(plan.items, lambda item: (item.step.phase, item.step.component)):
        rows = [row for item in items for row in _rows(item.step.resource.key, item.decision, verbosity=verbosity)]
        if not rows:
            continue
        if of_phase != phase:
            phase = of_phase
            page += [line(), line(Span(phase, "strong"))] if page else [line(Span(phase, "strong"))]
            before = ""
        if component != before:
            before = component
            page.append(line(f"  {component}"))
        page += rows_told(rows)
    notes = [*substitute_lines(plan.substitutes), *by_version_lines(plan.images), *_left_out_lines(plan.left_out)]
    return [*page, *notes, *([line()] if page or notes else []), _choices(plan.site), totals(plan)]


def _choices(site: Site) -> Line:
    """Where everything comes from; two words that decide the rest of the page."""
    places = f" ({', '.join(site.places)})" if site.places else ""
    return line(f"Source {site.source}{places}, engine {site.kube}.")


def _left_out_lines(rows: Iterable[LeftOut]) -> list[Block]:
    found = [told for row in rows for told in _folded(line("  "), f"{row.title}: {row.why}", NOTHING)]
    return [line(), line(Span("Left out", "strong")), *found] if found else []


def _rows(key: str, decision: Decision, *, verbosity: int) -> Iterator[Row]:
    if isinstance(decision, Change):
        actions = [masked(action.describe()) for action in decision.actions]
        why = short_reason(masked(decision.why), actions)
        for action in actions:
            yield Row(Span("~ ", "change"), why, (action, Span(f"  ({why})", "faint")), (action, NOTHING))
    elif isinstance(decision, Deferred):
        waits = f"decided once {decision.until}"
        kinds = Span(f"  ({', '.join(dict.fromkeys(may.kind for may in decision.may_become)) or 'nothing'})", "faint")
        then = Failure(decision.id).next if decision.id else ""
        yield Row(Span("… ", "waiting"), "" if then else waits, (f"{key}: {waits}", kinds), (key, kinds), then)
    elif isinstance(decision, Blocked):
        failure = Failure(decision.id, **decision.fields)
        what = failure.what if failure.what.startswith(f"{key} ") else f"{key}: {failure.what}"
        yield Row(Span("! ", "bad"), "", (what, Span(f" [{failure.id}]", "strong")), next=failure.next)
    elif verbosity > 0:
        why = decision.why
        yield Row(Span("= ", "good"), why, (key, Span(f"  ({why})", "faint")), (key, NOTHING))


def short_reason(why: str, actions: Sequence[str]) -> str:
    """A decision's reason without the names that its actions say already.

    Of several parts (``NAME: reason; NAME: reason and 2 more``) those that then say the same are one.
    """
    told, *more = re.split(r"( and \d+ more)$", why, maxsplit=1)
    names, heads = "\n".join(actions), [part.partition(": ") for part in told.split("; ")]
    if all(tail and head in names for head, _, tail in heads):
        return "; ".join(dict.fromkeys(tail for _, _, tail in heads)) + "".join(more)
    first, _, rest = why.partition(" ")
    return f"it {rest}" if len(actions) == 1 and re.search(r"[/._]", first) and first in names.split() else why


def rows_told(rows: Iterable[Row]) -> Iterator[Line]:
    """Rows as lines, a reason that several in a row have once above them."""
    for reason, found in groupby(rows, lambda row: row.reason):
        group = list(found)
        if reason and len(group) > 1:
            yield from _folded(line(Span("    ")), f"{reason}:", NOTHING, "faint")
            for row in group:
                yield from _folded(line("      ", row.mark), *row.among)
            continue
        for row in group:
            yield from _folded(line("    ", row.mark), *row.alone)
            if row.next:
                yield from _folded(line("        "), row.next, NOTHING)


def _folded(before: Line, text: str, after: Span, meaning: str = "plain") -> Iterator[Line]:
    """A text and what follows it, folded between words where it is longer than the page is wide."""
    start = sum(len(span.text) for span in before)
    first, *rest = _wrap(text, max(start, 8))
    told = [line(*before, Span(first, meaning)), *(line(" " * max(start, 8), Span(more, meaning)) for more in rest)]
    if after.text and sum(len(span.text) for span in told[-1]) + len(after.text) <= WIDTH:
        told[-1] = (*told[-1], after)
    elif after.text:
        told += [line("        ", Span(more, after.meaning)) for more in _wrap(after.text.strip(), 8)]
    yield from told


def _wrap(text: str, start: int) -> list[str]:
    return textwrap.wrap(text, WIDTH - start, break_long_words=False, break_on_hyphens=False) or [""]


def substitute_lines(substitutes: Iterable[Substitute]) -> list[Block]:
    """What stands in for what, with every ability that is missing."""
    found = [told for text in map(substitute_text, substitutes) for told in _folded(line("  "), text, NOTHING)]
    return [line(), line(Span("Substitutes", "strong")), *found] if found else []


def by_version_lines(images: Iterable[str]) -> list[Block]:
    """The images nobody knows a digest of: whoever serves their tag is believed."""
    found: list[Block] = [line(f"  {image}") for image in images if not is_pinned(image)]
    return [line(), line(Span("Images believed by version", "strong")), *found] if found else []


def substitute_text(substitute: Substitute) -> str:
    lacks = f"lacks {', '.join(substitute.lacks)}" if substitute.lacks else "lacks nothing we know of"
    return f"{substitute.name} for {substitute.stands_for}: {lacks}"


def totals(plan: Plan) -> Line:
    changes = sum(len(i.decision.actions) for i in plan.changes() if isinstance(i.decision, Change))
    later, blocked = len(plan.deferred()), len(plan.blocked())
    if not (changes or later or blocked):
        return line(Span("Nothing to do", "good"), ": everything is as it should be.")
    parts = [counted(changes, "change")]
    parts += [f"{later} decided later"] if later else []
    parts += [f"{blocked} blocked"] if blocked else []
    return line(Span("Plan", "strong"), f": {', '.join(parts)}.")
