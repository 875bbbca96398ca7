"""Rows of CSV files and of lines of JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, Self

from typing_extensions import override

from api.ingest.files.lines import Lines, Row
from api.ingest.records import ValueProblem
from api.ingest.records.notation import JsonText, PlainText

_MAX_DEPTH = 5
"""Levels of nested objects whose members are columns too."""
_PARSER_LIMIT = 2**31 - 1


class _ExactFloat(float):
    """A number that is shown as it was written, so that money is not rounded."""

    _written: str

    def __new__(cls, written: str) -> Self:
        number = super().__new__(cls, written)
        number._written = written
        return number

    @override
    def __str__(self) -> str:
        return self._written


class JsonRows(Iterator[Row]):
    """Iterates over the rows of a file with one JSON object a line. Blocks."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        return self._lines.size

    @override
    def __next__(self) -> Row:
        self._lines.start_row()
        try:
            values = self._next_values()
        except ValueProblem as problem:
            return self._lines.row({}, problem)
        return self._lines.row(values)

    def _next_values(self) -> dict[str, str]:
        while not (text := next(self._lines)).strip():
            self._lines.start_row()
        return json_columns(text)


class CsvRows(JsonRows):
    """Iterates over the rows of a CSV file whose first line names the columns. Blocks."""

    def __init__(self, lines: Lines, delimiter: str) -> None:
        """Read the header. Raises ValueProblem if it is not CSV."""
        super().__init__(lines)
        # The parser's limit is one setting of the whole process; ours is on the row.
        csv.field_size_limit(_PARSER_LIMIT)
        self._parser = csv.reader(lines, delimiter=delimiter, strict=True)
        lines.start_row()
        self.columns = tuple(name.strip() for name in self._next_cells())

    @override
    def _next_values(self) -> dict[str, str]:
        cells = self._next_cells()
        if len(cells) != len(self.columns):
            raise ValueProblem("wrong number of values", f"{len(cells)}, the header has {len(self.columns)}")
        return dict(zip(self.columns, map(str.strip, cells), strict=True))

    def _next_cells(self) -> list[str]:
        try:
            while not (cells := next(self._parser)):
                self._lines.start_row()
        except csv.Error as error:
            raise ValueProblem("not valid CSV", str(error)) from None
        return cells


def json_columns(text: str) -> dict[str, str]:
    """Return the members of a JSON object as text by name.

    A member of a nested object is there under its dotted path too, such as `usage.total_tokens`.

    Raises:
        ValueProblem: not a JSON object.
    """
    columns: dict[str, str] = {}
    try:
        parsed = json.loads(text, parse_float=_ExactFloat)
        if isinstance(parsed, dict):
            _flatten(parsed, "", columns, _MAX_DEPTH)
            return columns
    except json.JSONDecodeError as error:
        raise ValueProblem("not valid JSON", f"{error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError) as error:  # too many digits, too deeply nested
        raise ValueProblem("not valid JSON", str(error)) from None
    raise ValueProblem("not a JSON object")


def _flatten(members: dict[str, Any], prefix: str, columns: dict[str, str], depth: int) -> None:
    for name, value in members.items():
        path = prefix + name.strip()
        if isinstance(value, dict | list):
            columns[path] = JsonText(json.dumps(value, sort_keys=True))
        elif isinstance(value, bool):
            columns[path] = json.dumps(value)
        elif isinstance(value, str) or value is None:
            columns[path] = (value or "").strip()
        else:
            columns[path] = PlainText(value)
        if isinstance(value, dict) and depth:
            _flatten(value, f"{path}.", columns, depth - 1)
