"""Rows of a data file, and the reader of CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from typing_extensions import override

from api.ingest.errors import InputError, RowRejected
from api.ingest.lines import MAX_LINE_BYTES, Line, Lines

_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_PARSER_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file."""

    line: int
    """Where it starts, from 1."""
    original: str
    values: dict[str, str] = field(default_factory=dict)
    """Text by column, without surrounding blanks; empty where there is none."""
    rejected: RowRejected | None = None
    """Why the row could not be read at all."""


class _Record(Iterator[str]):
    """Hands lines to the CSV parser and remembers those of the record that is being parsed."""

    def __init__(self, lines: Lines) -> None:
        self._source = lines
        self.lines: list[Line] = []
        self._size = 0

    def begin(self) -> None:
        self.lines = []
        self._size = 0

    @override
    def __next__(self) -> str:
        line = self._source.read()
        if line is None:
            raise StopIteration
        self.lines.append(line)
        self._size += len(line.text)
        if line.cut or self._size > MAX_LINE_BYTES:
            raise RowRejected("row: too long", f"more than {MAX_LINE_BYTES:,} bytes")
        return line.text


class CsvRows(Iterator[Row]):
    """Rows of a CSV file whose first line names the columns."""

    def __init__(self, lines: Lines, delimiter: str) -> None:
        """Reads the header; `columns` is empty when the file is. Raises InputError when it is not CSV."""
        # The parser's limit is one setting of the whole process; ours is on the record.
        csv.field_size_limit(_PARSER_LIMIT)
        self._lines = lines
        self._record = _Record(lines)
        self._reader = csv.reader(self._record, delimiter=delimiter, strict=True)
        try:
            self.columns = tuple(name.strip() for name in self._cells())
        except StopIteration:
            self.columns = ()
        except RowRejected as error:
            raise InputError(f"line {self._record.lines[0].number}: {error.reason}") from None

    @override
    def __next__(self) -> Row:
        try:
            values = self._named(self._cells())
        except RowRejected as error:
            return self._bad(error)
        original = "".join(line.text for line in self._record.lines).rstrip("\r\n")
        return Row(self._record.lines[0].number, original, values)

    def _named(self, cells: list[str]) -> dict[str, str]:
        expected = len(self.columns)
        if len(cells) != expected:
            raise RowRejected("row: wrong number of values", f"{len(cells)}, the header has {expected}")
        return dict(zip(self.columns, map(str.strip, cells), strict=True))

    def _cells(self) -> list[str]:
        """The next record that is not blank. Raises RowRejected."""
        while True:
            self._record.begin()
            try:
                cells = next(self._reader)
            except csv.Error as error:
                raise RowRejected("row: not valid CSV", str(error)) from None
            if cells:
                for line in self._record.lines:
                    require_utf8(line.text)
                return cells

    def _bad(self, error: RowRejected) -> Row:
        """Rejects the first line alone: a stray quote must not take the rows after it along."""
        first, *rest = self._record.lines
        self._lines.put_back(rest)
        return Row(first.number, first.text.rstrip("\r\n"), rejected=error)


def require_utf8(text: str) -> None:
    """Raises RowRejected when a line holds bytes that are not UTF-8."""
    if not text.isascii() and (found := _NOT_UTF8.search(text)):
        byte = ord(found.group()) - 0xDC00
        raise RowRejected("row: not UTF-8", f"byte 0x{byte:02x} after {found.start()} characters")
