"""Every component on one page, and the record of it for programs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from olares_cli.ui.amounts import duration
from olares_cli.ui.plan import Block, by_version_lines, substitute_lines
from olares_cli.ui.text import Span, Table, line
from olares_cli.ui.theme import STATES

if TYPE_CHECKING:
    from olares_cli.verbs import ComponentStatus, Status

FINE = frozenset({"running", "skipped"})


def status_page(status: Status, *, now: float) -> list[Block]:
    rows = tuple(_row(component, now=now) for component in status.components)
    counts = Counter(component.state for component in status.components)
    total = ", ".join(f"{count} {state}" for state, count in counts.items())
    table = Table(("COMPONENT", "STATE", "VERSION", "SINCE", "DETAIL"), rows)
    substitutes = substitute_lines(c.substitute for c in status.components if c.substitute is not None)
    images = by_version_lines(image for c in status.components for image in c.images)
    cut_off = [line(Span("A run was cut off", "warning"), "; `olares-cli resume` goes on with it.")]
    total_line = line(Span("Olares", "strong"), f": {total or 'no components'}.")
    end = cut_off if status.unfinished else []
    if set(counts) == {"absent"} and not end:
        end = [line("Next: `olares-cli precheck` says whether it can be, `olares-cli plan` what would change.")]
    return [table, *substitutes, *images, line(), total_line, *end]


def _row(component: ComponentStatus, *, now: float) -> tuple[Span, ...]:
    since = "" if component.since is None else duration(max(0.0, now - component.since))
    return (
        Span(component.name),
        Span(component.state, STATES.get(component.state, "plain")),
        Span(component.version),
        Span(since),
        Span(component.detail, "faint"),
    )


def status_record(status: Status) -> dict[str, Any]:
    """The status as plain data; a substitute's ``stands_for`` is written ``for``."""
    return {
        "type": "status",
        "unfinished": status.unfinished,
        "components": [
            {
                "name": c.name,
                "title": c.title,
                "phase": c.phase,
                "version": c.version,
                "state": c.state,
                "since": c.since,
                "substitute": c.substitute
                and {"name": c.substitute.name, "for": c.substitute.stands_for, "lacks": list(c.substitute.lacks)},
                "detail": c.detail,
                "images": list(c.images),
            }
            for c in status.components
        ],
    }
