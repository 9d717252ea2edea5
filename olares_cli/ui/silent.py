"""The view of a run that shows nothing, and what the others begin with."""

from __future__ import annotations

from typing import Self

from olares_cli.runs.records import Record


class Silent:
    """Says nothing; how the run ended is told afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def show(self, record: Record) -> None:
        return

    def tick(self) -> None:
        return
