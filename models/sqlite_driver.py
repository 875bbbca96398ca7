"""The SQLite driver: aiosqlite, with one visit of the connection's thread per statement.

SQLAlchemy's adapter visits it four times: to make a cursor, execute, fetch and close. Each visit wakes two
threads, which costs more than most statements.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import aiosqlite
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_connection
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)
from sqlalchemy.util.concurrency import await_

CHECK_EVERY_STEPS = 20_000
"""SQLite virtual machine steps between two checks for cancellation: well under a millisecond."""


class OneVisitCursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor that holds the rows and is closed by the time a statement has been executed."""

    __slots__ = ("_description", "_lastrowid", "_rowcount")

    def __init__(self, adapt_connection: AsyncAdapt_dbapi_connection) -> None:
        """Wrap a connection; SQLite's own cursor is made by each statement."""
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection  # noqa: SLF001  as the class that it replaces
        self._rows: deque[Any] = deque()
        self._description: Any = None
        self._rowcount = -1
        self._lastrowid: int | None = None

    @property
    def description(self) -> Any:
        """Return the columns of the rows; None if the statement returns none."""
        return self._description

    @property
    def rowcount(self) -> int:
        """Return the number of rows changed."""
        return self._rowcount

    @property
    def lastrowid(self) -> int | None:  # type: ignore[override]  # as the driver: None before the first insert
        """Return the id of the row inserted last."""
        return self._lastrowid

    def close(self) -> None:
        """Forget the rows."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Do nothing: SQLite's cursor is closed."""

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        def run(connection: sqlite3.Connection) -> sqlite3.Cursor:
            return connection.execute(operation, parameters or ())

        await self._visit(run)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Sequence[Any]) -> None:
        def run(connection: sqlite3.Connection) -> sqlite3.Cursor:
            return connection.executemany(operation, seq_of_parameters)

        await self._visit(run)

    async def _visit(self, run: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> None:
        connection = self._connection

        def visit() -> tuple[Any, list[Any], int, int | None]:
            cursor = run(connection._conn)  # noqa: SLF001  what aiosqlite's own methods call
            rows = cursor.fetchall() if cursor.description else []
            outcome = cursor.description, rows, cursor.rowcount, cursor.lastrowid
            cursor.close()
            return outcome

        async with self._adapt_connection._execute_mutex:  # noqa: SLF001  as the method that it replaces
            outcome = await connection._execute(visit)  # noqa: SLF001
        self._description, rows, self._rowcount, self._lastrowid = outcome
        self._rows = deque(rows)


class OneVisitConnection(AsyncAdapt_aiosqlite_connection):
    """A connection whose running statement ends when the task that it works for is cancelled."""

    __slots__ = ("_task",)
    _cursor_cls = OneVisitCursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        """Wrap a connection of aiosqlite."""
        super().__init__(dbapi, connection)
        self._task: asyncio.Task[Any] | None = None
        await_(connection.set_progress_handler(self._is_cancelled, CHECK_EVERY_STEPS))

    @contextmanager
    def serving(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """Interrupt what runs within the block as soon as the task is cancelled."""
        self._task = task
        try:
            yield
        finally:
            self._task = None

    def _is_cancelled(self) -> bool:
        return self._task is not None and self._task.cancelling() > 0


class OneVisitDriver(AsyncAdapt_aiosqlite_dbapi):
    """What SQLAlchemy takes for the module of the driver."""

    def __init__(self) -> None:
        super().__init__(aiosqlite, sqlite3)

    def connect(self, *arg: Any, **kw: Any) -> OneVisitConnection:
        """Open a connection."""
        return OneVisitConnection(self, super().connect(*arg, **kw)._connection)  # noqa: SLF001
