"""A connection to SQLite that does all of a statement in one trip to its thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import aiosqlite
from aiosqlite.context import contextmanager
from typing_extensions import override

_ROWS_AT_ONCE = 2_000
"""Rows that are read in the trip that executes their statement; further ones take another trip."""
_CHECK_EVERY_STEPS = 20_000
"""SQLite virtual machine steps between two checks for cancellation: well under a millisecond."""


class SqliteConnection(aiosqlite.Connection):
    """The driver's connection, with its own cursors.

    The driver opens a cursor, executes it, reads it and closes it in a trip each. A trip waits until either
    thread is woken, which takes longer than most statements.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Prepare to connect; `connect` runs in the thread of the connection."""

        def open_to_be_stopped() -> sqlite3.Connection:
            connection = connect()
            connection.set_progress_handler(self._must_stop, _CHECK_EVERY_STEPS)
            return connection

        super().__init__(open_to_be_stopped, iter_chunk_size=_ROWS_AT_ONCE)
        self._thread.daemon = True  # as SQLAlchemy does: a killed task must not keep the process alive
        self.stops_with: asyncio.Task[Any] | None = None
        """A task whose cancellation interrupts the running statement."""

    def _must_stop(self) -> bool:
        task = self.stops_with
        return task is not None and task.cancelling() > 0

    @contextmanager
    @override
    async def cursor(self) -> aiosqlite.Cursor:
        return _Cursor(self)


class _Cursor(aiosqlite.Cursor):
    """A cursor that opens when it is executed, and closes when its last row is read."""

    def __init__(self, connection: SqliteConnection) -> None:
        super().__init__(connection, cast("sqlite3.Cursor", None))
        self._trip: Callable[..., Awaitable[Any]] = self._execute
        self._read: list[Any] = []
        self._is_open = False

    @override
    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> _Cursor:
        await self._trip(self._start, sqlite3.Cursor.execute, sql, parameters or ())
        return self

    @override
    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> _Cursor:
        await self._trip(self._start, sqlite3.Cursor.executemany, sql, parameters)
        return self

    def _start(self, run: Callable[..., sqlite3.Cursor], sql: str, parameters: Iterable[Any]) -> None:
        self._cursor = self._conn._conn.cursor()  # noqa: SLF001  the driver's own cursor is in its confidence
        self._is_open = True
        try:
            run(self._cursor, sql, parameters)
        except BaseException:
            self._cursor.close()
            self._is_open = False
            raise
        self._read_on()

    def _read_on(self, *, whole: bool = False) -> None:
        rows = self._cursor.fetchall() if whole else self._cursor.fetchmany(_ROWS_AT_ONCE)
        self._read += rows
        if whole or len(rows) < _ROWS_AT_ONCE:
            self._cursor.close()
            self._is_open = False

    @override
    async def fetchmany(self, size: int | None = None) -> list[Any]:
        size = size or self.arraysize
        if self._is_open and len(self._read) < size:
            await self._trip(self._read_on)
        rows, self._read = self._read[:size], self._read[size:]
        return rows

    @override
    async def fetchone(self) -> Any:
        return next(iter(await self.fetchmany(1)), None)

    @override
    async def fetchall(self) -> list[Any]:
        if self._is_open:
            await self._trip(self._read_on, whole=True)
        return await self.fetchmany(len(self._read))

    @override
    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            await super().close()
