"""Rows of a JSON Lines file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Self

from typing_extensions import override

from api.ingest.errors import RowRejected
from api.ingest.lines import MAX_LINE_BYTES, Line, Lines
from api.ingest.rows import Row, require_utf8

_MAX_DEPTH = 5
"""Levels of nested objects whose members are columns too."""


class _ExactFloat(float):
    """A number that remembers how it was written, so that money is not rounded."""

    written: str

    def __new__(cls, written: str) -> Self:
        number = super().__new__(cls, written)
        number.written = written
        return number


class JsonRows(Iterator[Row]):
    """One object a line; a member of a nested object is also a column under its dotted name."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    @override
    def __next__(self) -> Row:
        while (line := self._lines.read()) is not None:
            text = line.text.strip()
            if not text:
                continue
            try:
                return Row(line.number, text, _values(line))
            except RowRejected as error:
                return Row(line.number, text, rejected=error)
        raise StopIteration


def _values(line: Line) -> dict[str, str]:
    if line.cut:
        raise RowRejected("row: too long", f"more than {MAX_LINE_BYTES:,} bytes")
    require_utf8(line.text)
    values: dict[str, str] = {}
    try:
        parsed = json.loads(line.text, parse_float=_ExactFloat)
        if not isinstance(parsed, dict):
            raise RowRejected("row: not a JSON object")
        _flatten(parsed, "", values, _MAX_DEPTH)
    except json.JSONDecodeError as error:
        raise RowRejected("row: not valid JSON", f"{error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError) as error:  # too many digits, too deeply nested
        raise RowRejected("row: not valid JSON", str(error)) from None
    return values


def _flatten(members: dict[str, Any], prefix: str, values: dict[str, str], depth: int) -> None:
    for name, value in members.items():
        values[prefix + name.strip()] = _text(value)
        if isinstance(value, dict) and depth:
            _flatten(value, f"{prefix}{name.strip()}.", values, depth - 1)


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case _ExactFloat():
            return value.written
        case dict() | list():
            return json.dumps(value, sort_keys=True)
        case bool():
            return str(value).lower()
        case _:
            return str(value)
