"""One consistent view of the database, read by several tasks at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction

from models.database import Database, ReadSession

_CHECK_EVERY_STEPS = 20_000
"""SQLite virtual machine steps between two looks at the task: well under a millisecond."""


class Snapshots:
    """Opens snapshots of one database, never more at once than its connections allow.

    A snapshot takes all its connections in one step: taking them one by one could deadlock
    two questions that each hold half of the pool.
    """

    def __init__(self, database: Database, *, readers: int) -> None:
        """`readers` is how many connections one snapshot has; further tasks wait for a free one."""
        self.database = database
        self.readers = min(readers, database.connections)
        self._turns = asyncio.Semaphore(max(1, database.connections // self.readers))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Snapshot]:
        """A snapshot of what is committed now; later commits are invisible in it.

        Raises DatabaseUnreachable, also when the database goes away while the snapshot is used.
        """
        async with self._turns, AsyncExitStack() as stack:
            with self.database.reaching():
                connections = [
                    await stack.enter_async_context(self.database.read_engine.connect())
                    for _ in range(self.readers)
                ]
                exported = None
                if self.database.is_sqlite:
                    await self._align_sqlite(connections)
                else:
                    exported = await self._align_postgresql(connections)
            with self.database.staying():
                yield Snapshot(connections, exported)

    async def _align_sqlite(self, connections: list[AsyncConnection]) -> None:
        """Lets every connection begin between two commits.

        SQLite cannot export a snapshot. Holding the write lock while the readers take theirs keeps
        any commit, of this process or another, from falling between them.
        """
        async with self.database.write_engine.begin():
            for connection in connections:
                # BEGIN alone takes no snapshot; the first read does.
                await connection.execute(text("SELECT 1 FROM sqlite_master LIMIT 1"))

    async def _align_postgresql(self, connections: list[AsyncConnection]) -> str:
        """Imports the leader's exported snapshot into every follower; gives its id."""
        leader, *followers = connections
        exported: str = (await leader.execute(text("SELECT pg_export_snapshot()"))).scalar_one()
        await asyncio.gather(*(_join(follower, exported) for follower in followers))
        return exported


async def _join(connection: AsyncConnection, exported: str) -> None:
    """Begins a PostgreSQL transaction on an exported snapshot."""
    # The id is made by the server; SET TRANSACTION takes no bound parameter.
    await connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{exported}'")


class Snapshot:
    """Hands each task a session of its own on the same view of the data."""

    def __init__(self, connections: list[AsyncConnection], exported: str | None = None) -> None:
        """`exported` is the id by which PostgreSQL knows the snapshot."""
        self._exported = exported
        # Its transaction keeps the exported snapshot alive. Put in first, it is handed out last.
        self._leader = connections[0] if exported is not None else None
        self._free: asyncio.LifoQueue[AsyncConnection] = asyncio.LifoQueue()
        for connection in connections:
            self._free.put_nowait(connection)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ReadSession]:
        """A session for the current task; cancelling the task stops its running statement.

        After an error the connection serves others. After a cancelled statement it is lost, which the
        others feel only once all are.
        """
        connection = await self._free.get()
        savepoint = await connection.begin_nested() if connection is self._leader else None
        try:
            async with (
                stop_statement_on_cancel(connection),
                ReadSession(connection, autoflush=False, join_transaction_mode="rollback_only") as session,
            ):
                yield session
        except Exception as error:
            if await self._recovered(connection, savepoint, error):
                self._free.put_nowait(connection)
            raise
        if savepoint is not None:
            await savepoint.rollback()
        self._free.put_nowait(connection)

    async def _recovered(
        self, connection: AsyncConnection, savepoint: AsyncTransaction | None, error: Exception
    ) -> bool:
        """Whether the connection shows the same data as before the error, if need be after joining again."""
        if connection.invalidated or connection.closed:
            return False
        if savepoint is not None:
            await savepoint.rollback()
            return True
        if self._exported is None or not isinstance(error, DBAPIError):
            return True  # SQLite's read transactions outlive a failed statement
        await connection.rollback()
        try:
            await _join(connection, self._exported)
        except DBAPIError:  # the leader was cancelled: nothing holds the snapshot any more
            return False
        return True


@asynccontextmanager
async def stop_statement_on_cancel(connection: AsyncConnection) -> AsyncIterator[None]:
    """Within the block SQLite gives up its statement when the current task is cancelled.

    Without this the cancelled task only returns when the statement has finished. PostgreSQL's
    driver cancels at the server by itself.
    """
    task = asyncio.current_task()
    driver = (await connection.get_raw_connection()).driver_connection
    if connection.dialect.name != "sqlite" or task is None or driver is None:
        yield
        return
    await driver.set_progress_handler(lambda: task.cancelling() > 0, _CHECK_EVERY_STEPS)
    try:
        yield
    finally:
        # Else the connection's next user could be stopped for the sake of this task. A connection whose
        # statement was cancelled is closed by now.
        with suppress(ValueError):
            await driver.set_progress_handler(None, 0)
