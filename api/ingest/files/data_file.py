"""A data file: its format and its rows."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.ingest.errors import InputError, MappingError
from api.ingest.files.lines import Lines
from api.ingest.files.mapping import FileOptions
from api.ingest.files.parquet import MAGIC, parquet_lines
from api.ingest.files.rows import CsvRows, JsonRows
from api.ingest.records import ValueProblem

AS_UTF8 = "convert it to UTF-8: iconv -f UTF-16 -t UTF-8 FILE"

_FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
_FOREIGN = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"PK\x03\x04": "is a ZIP or Excel file; export it as CSV",
    b"\xff\xfe": f"is UTF-16; {AS_UTF8}",
    b"\xfe\xff": f"is UTF-16; {AS_UTF8}",
}
_SNIFFED_BYTES = 64 * 1024


@contextmanager
def open_rows(path: Path, options: FileOptions) -> Iterator[CsvRows | JsonRows]:
    """Open a data file at its first row; blocks.

    Raises:
        InputError: the file is missing, empty, foreign or not what it claims to be.
        MappingError: the delimiter cannot separate columns.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: not a regular file")
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    with file:
        start = file.read(_SNIFFED_BYTES)
        if start.startswith(MAGIC):
            with parquet_lines(path) as rows:
                yield JsonRows(rows)
            return
        format_ = _format(path, options, start)
        file.seek(0)
        lines = Lines(file)
        try:
            yield JsonRows(lines) if format_ == "jsonl" else CsvRows(lines, _delimiter(path, options))
        except ValueProblem as problem:  # in the header
            raise InputError(f"{path}: line 1: row: {problem}") from None


def _format(path: Path, options: FileOptions, start: bytes) -> str:
    for magic, problem in _FOREIGN.items():
        if start.startswith(magic):
            raise InputError(f"{path}: {problem}")
    if b"\0\0" in (start[1:4:2], start[0:3:2]):
        raise InputError(f"{path}: looks like UTF-16 without a byte order mark; {AS_UTF8}")
    if b"\0" in start.split(b"\n", 1)[0]:
        raise InputError(f"{path}: line 1 holds NUL bytes; expected CSV or JSON Lines in UTF-8")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise InputError(f"{path}: is empty")
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
