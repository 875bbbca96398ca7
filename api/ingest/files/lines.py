"""The lines of a file of any size, and the rows that they make up."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from typing_extensions import override

from api.ingest.records import FieldProblem, ValueProblem

MAX_ROW_BYTES = 8 * 2**20
"""Longer rows are rejected, so that one cannot fill the memory."""

_CONVERT = "a file in Latin-1 or Windows-1252 is converted by: iconv -f WINDOWS-1252 -t UTF-8 FILE"
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data file."""

    line: int
    """Where it starts, from 1."""
    end: int
    """Bytes from the start of the file to the end of the row."""
    original: str
    values: dict[str, str]
    """Text by column, without surrounding white space; empty where there is no value."""
    problems: tuple[FieldProblem, ...] = ()
    """Why the row is rejected."""


class Lines(Iterator[str]):
    """Iterates over the lines of a file, with their ends, and keeps those of the current row. Blocks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._position = 0
        self._size = 0
        self._kept: list[str] = []

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._file.fileno()).st_size

    def start_row(self) -> None:
        """Forget the lines of the row before."""
        self._kept, self._size = [], 0

    def row(self, values: dict[str, str], problem: ValueProblem | None = None) -> Row:
        """Return a row made of the lines read since it started."""
        first = self._number - len(self._kept) + 1
        problems: tuple[FieldProblem, ...] = ()
        if problem is not None:
            several = f"; lines {first} to {self._number} were read as one row, is a quote missing?"
            hint = several if len(self._kept) > 1 else ""
            problems = (FieldProblem("row", problem.kind, problem.detail + hint),)
        return Row(first, self._position, "".join(self._kept).rstrip("\r\n"), values, problems)

    @override
    def __next__(self) -> str:
        content = self._file.readline(MAX_ROW_BYTES)
        if not content:
            raise StopIteration
        self._number += 1
        encoding = "utf-8-sig" if self._number == 1 else "utf-8"
        # Bytes that are not UTF-8 become lone surrogates.
        text = content.decode(encoding, "surrogateescape")
        self._kept.append(text)
        self._size += len(content)
        while len(content) == MAX_ROW_BYTES and not content.endswith(b"\n"):
            content = self._file.readline(MAX_ROW_BYTES)
            self._size += len(content)
        self._position = self._file.tell()
        if self._size >= MAX_ROW_BYTES:
            raise ValueProblem("too long", f"more than {MAX_ROW_BYTES:,} bytes")
        if not text.isascii() and (found := _NOT_UTF8.search(text)):
            byte = ord(found.group()) - 0xDC00
            where = f"byte 0x{byte:02x} after {found.start()} characters"
            raise ValueProblem("not UTF-8", f"{where}; {_CONVERT}")
        return text
