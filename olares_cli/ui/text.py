"""Styled lines and tables: plain text on a pipe, Rich only on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from olares_cli.session import Session
from olares_cli.ui.theme import STYLES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

GAP = "  "


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text and what it means (a key of ``theme.STYLES``)."""

    text: str
    meaning: str = "plain"


Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under headings. The last column takes what room is left."""

    headings: tuple[str, ...]
    rows: tuple[Line, ...]


def console(session: Session, stream: TextIO) -> Console:
    """A Rich console on a stream that may be drawn on."""
    from rich.console import Console

    return Console(
        file=stream,
        force_terminal=True,
        no_color=not session.coloured(stream),
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def rich_text(parts: Line) -> Text:
    from rich.text import Text

    return Text.assemble(*((span.text, STYLES[span.meaning]) for span in parts))


def show(session: Session, blocks: Sequence[Line | Table], *, stream: TextIO) -> None:
    """Write lines and tables to a stream: with Rich on a terminal, as plain text elsewhere."""
    if session.draws(stream):
        _draw(console(session, stream), blocks)
        return
    for block in blocks:
        print(plain(block), file=stream)
    stream.flush()


def plain(block: Line | Table) -> str:
    """A line or a table as text without escapes or trailing blanks."""
    if not isinstance(block, Table):
        return "".join(span.text for span in block).rstrip()
    cells = [block.headings, *(tuple(span.text for span in row) for row in block.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(block.headings))]
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _draw(on: Console, blocks: Sequence[Line | Table]) -> None:
    from rich.table import Table as RichTable

    for block in blocks:
        if not isinstance(block, Table):
            on.print(rich_text(block), soft_wrap=True)
            continue
        drawn = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=STYLES["faint"])
        last = len(block.headings) - 1
        for index, heading in enumerate(block.headings):
            drawn.add_column(heading, no_wrap=index != last, overflow="fold")
        for row in block.rows:
            drawn.add_row(*(rich_text((span,)) for span in row))
        on.print(drawn)
