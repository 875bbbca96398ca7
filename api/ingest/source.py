"""One data file: what format it has, which columns, and whether it can be used at all."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from api.ingest.errors import InputError, MappingError
from api.ingest.json_rows import JsonRows
from api.ingest.lines import Lines
from api.ingest.mapping import FileOptions
from api.ingest.rows import CsvRows, Row

PREVIEWED_ROWS = 1000
"""JSON Lines have no header: their columns are those of the first rows."""
PREVIEWED_BYTES = 8 * 2**20

_FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
_FOREIGN = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"PK\x03\x04": "is a ZIP or Excel file; export it as CSV",
    b"PAR1": "is a Parquet file; export it as CSV or JSON Lines",
    b"\xff\xfe": "is UTF-16; convert it to UTF-8",
    b"\xfe\xff": "is UTF-16; convert it to UTF-8",
}
_SNIFFED_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A data file that can be read."""

    path: Path
    format: str
    delimiter: str
    size: int
    """Bytes."""

    @contextmanager
    def open(self) -> Iterator[tuple[Lines, CsvRows | JsonRows]]:
        """The rows from the beginning, and the lines beneath, which know the position."""
        with self.path.open("rb") as file:
            lines = Lines(file)
            yield lines, self._rows(lines)

    def _rows(self, lines: Lines) -> CsvRows | JsonRows:
        try:
            return CsvRows(lines, self.delimiter) if self.format == "csv" else JsonRows(lines)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None


@dataclass(frozen=True, slots=True)
class Preview:
    """The columns of a file and its first rows."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def find_source(path: Path, options: FileOptions) -> Source:
    """Looks at the file without reading its rows. Raises InputError; blocks."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: not a regular file")
        with path.open("rb") as file:
            start = file.read(_SNIFFED_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    for magic, problem in _FOREIGN.items():
        if start.startswith(magic):
            raise InputError(f"{path}: {problem}")
    if b"\0" in start.split(b"\n", 1)[0]:
        raise InputError(f"{path}: line 1 holds NUL bytes; expected CSV or JSON Lines in UTF-8")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise InputError(f"{path}: is empty")
    return Source(path, _format(path, options, text), _delimiter(path, options), status.st_size)


def _format(path: Path, options: FileOptions, text: bytes) -> str:
    named = options.format or _FORMATS.get(path.suffix.lower())
    found = named or ("jsonl" if text.startswith(b"{") else "csv")
    if found == "jsonl" and text.startswith(b"["):
        raise InputError(f"{path}: is a JSON array; expected JSON Lines, one object on each line")
    return found


def _delimiter(path: Path, options: FileOptions) -> str:
    delimiter = options.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    if delimiter in '"\r\n ':
        raise MappingError(f"delimiter {delimiter!r} cannot separate columns; use one like ',' ';' or a tab")
    return delimiter


def preview(source: Source) -> Preview:
    """Reads the header and the first rows. Raises InputError when there is nothing to load; blocks."""
    with source.open() as (lines, rows):
        first = tuple(_first(lines, rows))
        columns = rows.columns if isinstance(rows, CsvRows) else _columns(first)
    if not first:
        raise InputError(f"{source.path}: line 1 has column names, but no rows follow")
    broken = first[0].rejected
    if broken is not None and (not columns or broken.kind == "row: not UTF-8"):
        raise InputError(f"{source.path}: line {first[0].line}: {broken.reason}")
    return Preview(columns, first)


def _first(lines: Lines, rows: Iterator[Row]) -> Iterator[Row]:
    for row in islice(rows, PREVIEWED_ROWS):
        yield row
        if lines.position > PREVIEWED_BYTES:
            return


def _columns(rows: tuple[Row, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows for name in row.values))
