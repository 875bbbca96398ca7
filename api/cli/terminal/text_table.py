"""A titled table of text, for a terminal or as plain lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from api.cli.terminal.streams import printable

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """Rows of equal length; numeric columns are right-aligned."""

    title: str
    rows: tuple[Row, ...]
    columns: Row = ()
    """Headings; empty for none."""
    stacked: bool = False
    """True if a terminal shows the last cell of each row below the others; needs headings."""
    warns: bool = False
    """True for a warning."""


def plain_lines(table: TextTable) -> Iterator[str]:
    """One line per row, never wrapped."""
    yield table.title
    yield from (f"  {line}".rstrip() for line in _aligned(table))


def renderable(table: TextTable) -> RenderableType:
    """Render a table for a terminal: long cells wrap, nothing is cut off."""
    title = Text(table.title, style="bold yellow" if table.warns else "bold")
    if not table.rows:
        return title
    body = _stacked(table) if table.stacked else _table(table)
    return Group(title, Padding(body, (0, 0, 0, 2)))


def _table(table: TextTable) -> Table:
    accent = "yellow" if table.warns else "cyan"
    grid = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(table.columns), pad_edge=False)
    right = _numeric_columns(table)
    for place in range(len(table.rows[0])):
        grid.add_column(
            Text(table.columns[place] if table.columns else "", style="dim"),
            overflow="fold",
            justify="right" if place in right else "left",
            style=accent if place == 0 and len(table.rows[0]) > 1 else "",
        )
    for row in table.rows:
        grid.add_row(*(Text(_flat(cell)) for cell in row))
    return grid


def _stacked(table: TextTable) -> Group:
    """Show each row's last cell below the others."""
    short = replace(table, rows=tuple(row[:-1] for row in table.rows), columns=table.columns[:-1])
    heading, *lines = _aligned(short)
    parts: list[RenderableType] = [Text(heading, style="dim")]
    for line, row in zip(lines, table.rows, strict=True):
        parts += [Text(line, style="cyan"), Padding(Text(_flat(row[-1])), (0, 0, 0, 2))]
    return Group(*parts)


def _aligned(table: TextTable) -> Iterator[str]:
    """Yield the headings, if any, and the rows, in aligned columns."""
    rows = [tuple(_flat(cell) for cell in row) for row in (table.columns, *table.rows) if row]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    right = _numeric_columns(table)
    for row in rows:
        cells = (
            _padded(cell, width, right=place in right)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _numeric_columns(table: TextTable) -> set[int]:
    width = len(table.rows[0]) if table.rows else 0
    return {
        place
        for place in range(width)
        if all(row[place].replace(",", "").replace(".", "", 1).isdigit() for row in table.rows)
    }


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space


def _flat(cell: str) -> str:
    return " ".join(printable(cell).split())
