"""The place of cold days, and DuckDB in threads of its own: bounded, and stopped with who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from models.errors import ColdDayUnreadable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Cursor

T = TypeVar("T")

DEADLINE_S = 8.0
"""Of one read; sources and queries have deadlines of their own, which are shorter or stop it as well."""
MAX_AT_ONCE = 2
"""Reads of one process at the same time; further ones wait."""
_BOUNDS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "512MB",
    "autoinstall_known_extensions": False,
}
_BUCKET = "s3://"


class ColdFiles:
    """A folder, or a bucket as `s3://bucket/prefix`, with the files of cold days."""

    def __init__(self, place: str, *, endpoint: str = "") -> None:
        """Nothing is opened, and DuckDB is not imported, before the first read.

        `endpoint` is the URL of a bucket's server; empty: AWS's.
        """
        self.place = place.rstrip("/")
        self.is_folder = not place.startswith(_BUCKET)
        self._endpoint = endpoint
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)

    @property
    def folder(self) -> Path:
        """Return the place, which is a folder."""
        return Path(self.place)

    def address(self, name: str) -> str:
        """Return how DuckDB finds a file."""
        return str(self.folder / name) if self.is_folder else f"{self.place}/{name}"

    def source(self, names: Sequence[str]) -> str:
        """Return the rows of files as what stands after FROM."""
        listed = ", ".join(quoted(self.address(name)) for name in names)
        return f"read_parquet([{listed}], union_by_name = true)"

    async def rows(
        self, names: Sequence[str], query: Callable[[str], str], values: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query over files; `query` gets what stands after FROM.

        Raises:
            ColdDayUnreadable: One of the files cannot be read, which is named, or not in time.
        """

        def read(cursor: Cursor) -> list[tuple[Any, ...]]:
            try:
                return cursor.execute(query(self.source(names)), values).fetchall()
            except Exception as error:
                if type(error).__name__ == "InterruptException":
                    raise  # nobody waits any more
                raise ColdDayUnreadable(self._complaint(cursor, names, error)) from error

        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self.run(read)
        except TimeoutError:
            raise ColdDayUnreadable(
                f"{len(names)} files of cold days in {self.place} were not read within {DEADLINE_S:g} s"
            ) from None

    async def run(self, work: Callable[[Cursor], T]) -> T:
        """Return what a function returns that gets a connection of its own in a thread.

        It is interrupted if the current task is cancelled, which then waits for its end.

        Raises:
            ColdDayUnreadable: The function raises an error of DuckDB, such as a place that cannot be written.
        """
        async with self._turns:
            cursor = await asyncio.to_thread(self._open)
            working = asyncio.ensure_future(asyncio.to_thread(self._work, work, cursor))
            try:
                return await asyncio.shield(working)
            finally:
                if not working.done():
                    cursor.interrupt()
                    await asyncio.wait([working])
                    working.exception()
                await asyncio.to_thread(cursor.close)

    def _work(self, work: Callable[[Cursor], T], cursor: Cursor) -> T:
        import duckdb  # noqa: PLC0415  it is there: the cursor is open

        try:
            return work(cursor)
        except duckdb.InterruptException:
            raise  # nobody waits any more
        except duckdb.Error as error:
            raise ColdDayUnreadable(f"cold days in {self.place}: {_first_line(error)}") from error

    def _open(self) -> Cursor:
        return self._database.cursor()

    @cached_property
    def _database(self) -> Cursor:
        try:
            import duckdb  # noqa: PLC0415  optional, and only who has cold days needs it
        except ImportError:
            raise ColdDayUnreadable(
                f"cold days in {self.place} need DuckDB, which is missing: pip install 'arcpoint[archive]'"
            ) from None
        database = duckdb.connect(config=_BOUNDS)
        if not self.is_folder:
            try:
                database.execute(f"LOAD httpfs; LOAD aws; CREATE SECRET ({_s3_options(self._endpoint)})")
            except duckdb.Error as error:
                raise ColdDayUnreadable(
                    f"{self.place} needs DuckDB's extensions httpfs and aws, which cannot be loaded here "
                    f"({_first_line(error)}); install them in DuckDB, or set ARCPOINT_COLD_PATH to a folder, "
                    "which may be a mounted bucket"
                ) from error
        return database

    def _complaint(self, cursor: Cursor, names: Sequence[str], error: Exception) -> str:
        """Return which file cannot be read, and why."""
        for name in names:
            try:
                cursor.execute(f"SELECT max(COLUMNS(*)) FROM {self.source([name])}").fetchall()  # noqa: S608
            except Exception as failure:  # noqa: BLE001  whatever it is, this file is what cannot be read
                return f"the cold day {self.address(name)} cannot be read: {_first_line(failure)}"
        return f"cold days in {self.place} cannot be read: {_first_line(error)}"


def _s3_options(endpoint: str) -> str:
    """Return where a bucket is; credentials come from AWS's own variables and files."""
    options = "TYPE s3, PROVIDER credential_chain"
    if not endpoint:
        return options
    url = urlsplit(endpoint)
    # What is not AWS has seldom a host name for each bucket.
    return f"{options}, ENDPOINT {quoted(url.netloc)}, URL_STYLE 'path', USE_SSL {url.scheme != 'http'}"


def quoted(text: str) -> str:
    """Return a text as DuckDB reads it in a statement, for where it takes no bound value."""
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
