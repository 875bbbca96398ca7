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
    """Rows of equal length; columns that hold numbers only are aligned to the right."""

    title: str
    rows: tuple[Row, ...]
    columns: Row = ()
    """Headings; empty for none."""
    stacked: bool = False
    """Whether a terminal shows the last cell of each row below the others; needs headings."""
    warns: bool = False
    """Whether the reader must not overlook it."""


def plain_lines(sheet: TextTable) -> Iterator[str]:
    """One line per row, never wrapped."""
    yield sheet.title
    yield from (f"  {line}".rstrip() for line in _aligned(sheet))


def renderable(sheet: TextTable) -> RenderableType:
    """The same for a terminal: what is too long goes on below, nothing is cut off."""
    title = Text(sheet.title, style="bold yellow" if sheet.warns else "bold")
    if not sheet.rows:
        return title
    body = _stacked(sheet) if sheet.stacked else _table(sheet)
    return Group(title, Padding(body, (0, 0, 0, 2)))


def _table(sheet: TextTable) -> Table:
    accent = "yellow" if sheet.warns else "cyan"
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(sheet.columns), pad_edge=False)
    right = _numeric_columns(sheet)
    for place in range(len(sheet.rows[0])):
        table.add_column(
            Text(sheet.columns[place] if sheet.columns else "", style="dim"),
            overflow="fold",
            justify="right" if place in right else "left",
            style=accent if place == 0 and len(sheet.rows[0]) > 1 else "",
        )
    for row in sheet.rows:
        table.add_row(*(Text(_flat(cell)) for cell in row))
    return table


def _stacked(sheet: TextTable) -> Group:
    """Each row's last cell below the others."""
    short = replace(sheet, rows=tuple(row[:-1] for row in sheet.rows), columns=sheet.columns[:-1])
    heading, *lines = _aligned(short)
    parts: list[RenderableType] = [Text(heading, style="dim")]
    for line, row in zip(lines, sheet.rows, strict=True):
        parts += [Text(line, style="cyan"), Padding(Text(_flat(row[-1])), (0, 0, 0, 2))]
    return Group(*parts)


def _aligned(sheet: TextTable) -> Iterator[str]:
    """The headings, where there are any, and the rows, in columns of equal width."""
    rows = [tuple(_flat(cell) for cell in row) for row in (sheet.columns, *sheet.rows) if row]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    right = _numeric_columns(sheet)
    for row in rows:
        cells = (
            _padded(cell, width, right=place in right)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _numeric_columns(sheet: TextTable) -> set[int]:
    width = len(sheet.rows[0]) if sheet.rows else 0
    return {
        place
        for place in range(width)
        if all(row[place].replace(",", "").replace(".", "", 1).isdigit() for row in sheet.rows)
    }


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space


def _flat(cell: str) -> str:
    return " ".join(printable(cell).split())
