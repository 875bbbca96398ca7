"""The rows of a Parquet file as lines of JSON; DuckDB reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from api.ingest.errors import InputError
from api.ingest.files.lines import MAX_ROW_BYTES, Lines
from api.ingest.records import ValueProblem

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAGIC = b"PAR1"
_ROWS_AT_ONCE = 256
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,  # rows come in the order of the file, a few at a time
    "memory_limit": "512MB",
    "autoinstall_known_extensions": "false",  # nothing is fetched
    "TimeZone": "UTC",
}


class ParquetLines(Lines):
    """Iterates over the rows of a Parquet file, each as one JSON object. Blocks."""

    def __init__(self, connection: DuckDBPyConnection, path: Path) -> None:
        """Begin to read. Raises InputError if it is not Parquet, or damaged at its end."""
        self.start_row()
        self._number = self._position = 0
        with _readable(path):
            counted = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone()
            self._total = counted[0] if counted else 0
            self._rows = connection.execute("SELECT to_json(t) FROM read_parquet(?) t", [str(path)])
        self._path = path
        self._read = iter(self._texts())

    @property
    @override
    def size(self) -> int:
        """Bytes of all rows as JSON, as far as those that were read tell."""
        return self._position * self._total // max(self._number, 1)

    def _texts(self) -> Iterator[str]:
        while True:
            with _readable(self._path):
                rows = self._rows.fetchmany(_ROWS_AT_ONCE)
            if not rows:
                return
            for (text,) in rows:
                yield text

    @override
    def __next__(self) -> str:
        text = next(self._read)
        size = len(text.encode("utf-8", "surrogatepass"))
        self._number += 1
        self._position += size
        self._kept.append(text)
        if size >= MAX_ROW_BYTES:
            raise ValueProblem("too long", f"more than {MAX_ROW_BYTES:,} bytes")
        return text


@contextmanager
def parquet_lines(path: Path) -> Iterator[ParquetLines]:
    """Open a Parquet file. Blocks.

    Raises:
        InputError: it cannot be read, or DuckDB is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415  an extra
    except ImportError:
        raise InputError(
            f"{path}: is a Parquet file, which needs DuckDB: pip install 'arcpoint[archive]'; "
            "or export it as CSV or JSON Lines"
        ) from None
    with duckdb.connect(config=_SETTINGS) as connection:
        yield ParquetLines(connection, path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise InputError where DuckDB cannot go on."""
    import duckdb  # noqa: PLC0415  likewise

    try:
        yield
    except duckdb.Error as error:
        raise InputError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from None
