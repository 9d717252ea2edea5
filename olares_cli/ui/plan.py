"""The plan as a page: by phase and component what changes, what stands in for what, and what blocks."""

from __future__ import annotations

from collections.abc import Iterable
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


def plan_page(plan: Plan, *, verbosity: int = 0) -> list[Block]:
    """The blocks of a plan's page; with -v also what is as it should be."""
    page: list[Block] = []
    phase = component = ""
    for item in plan.items:
        rows = list(_decision_rows(item.step.resource.key, item.decision, verbosity=verbosity))
        if not rows:
            continue
        if item.step.phase != phase:
            phase, component = item.step.phase, ""
            page += [line(), line(Span(phase, "strong"))] if page else [line(Span(phase, "strong"))]
        if item.step.component != component:
            component = item.step.component
            page.append(line(f"  {component}"))
        page += rows
    notes = [*substitute_lines(plan.substitutes), *by_version_lines(plan.images), *_left_out_lines(plan.left_out)]
    return [*page, *notes, *([line()] if page or notes else []), _choices(plan.site), totals(plan)]


def _choices(site: Site) -> Line:
    """Where everything comes from; two words that decide the rest of the page."""
    places = f" ({', '.join(site.places)})" if site.places else ""
    return line(f"Source {site.source}{places}, engine {site.kube}.")


def _left_out_lines(rows: Iterable[LeftOut]) -> list[Block]:
    found: list[Block] = [line(f"  {row.title}: {row.why}") for row in rows]
    return [line(), line(Span("Left out", "strong")), *found] if found else []


def _decision_rows(key: str, decision: Decision, *, verbosity: int) -> Iterable[Line]:
    if isinstance(decision, Change):
        for action in decision.actions:
            yield line(
                Span("    ~ ", "change"), masked(action.describe()), Span(f"  ({masked(decision.why)})", "faint")
            )
    elif isinstance(decision, Deferred):
        kinds = ", ".join(dict.fromkeys(may.kind for may in decision.may_become)) or "nothing"
        yield line(Span("    … ", "waiting"), f"{key}: decided once {decision.until}", Span(f"  ({kinds})", "faint"))
        if decision.id:
            yield line(f"        {Failure(decision.id).next}")
    elif isinstance(decision, Blocked):
        failure = Failure(decision.id, **decision.fields)
        yield line(Span("    ! ", "bad"), f"{key}: {failure.what} ", Span(f"[{failure.id}]", "strong"))
        yield line(f"        {failure.next}")
    elif verbosity > 0:
        yield line(Span("    = ", "good"), key, Span(f"  ({decision.why})", "faint"))


def substitute_lines(substitutes: Iterable[Substitute]) -> list[Block]:
    """What stands in for what, with every ability that is missing."""
    found: list[Block] = [line(f"  {text}") for text in map(substitute_text, substitutes)]
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
