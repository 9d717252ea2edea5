"""Colour by meaning: the one place that knows which colour says what."""

from __future__ import annotations

STYLES = {
    "good": "green",
    "change": "yellow",
    "warning": "yellow",
    "bad": "bold red",
    "waiting": "cyan",
    "faint": "dim",
    "strong": "bold",
    "plain": "",
}

STATES = {
    "running": "good",
    "degraded": "warning",
    "stopped": "bad",
    "absent": "faint",
    "skipped": "faint",
    "passed": "good",
    "failed": "bad",
    "waived": "warning",
    "not-run": "faint",
    "done": "good",
    "interrupted": "warning",
    "left": "warning",
}
"""Which meaning a state, a check's status or a run's status has."""
