"""A consistent view of the database for several concurrent tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from copy import copy

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction

from models.database import Database, ReadSession
from models.own_rows import only_rows_of
from models.sqlite_connection import SqliteConnection

_DATA_VERSION = text("PRAGMA data_version")
"""Changes for a connection with every commit of another."""
_MAX_ALIGNMENTS = 20
"""Tries until readers begin without a commit between them; a busier database is read by one."""
_JOIN_PATIENCE_S = 0.5
"""Wait for followers, which join within milliseconds unless a pooler has no session left for them."""


class Snapshots:
    """Snapshots of one database, at most as many at once as its connections allow.

    A snapshot takes all its connections in one step: taking them one by one could deadlock two questions
    that each hold half of the pool.
    """

    def __init__(self, database: Database, *, readers: int) -> None:
        """Give each snapshot `readers` connections; further tasks wait for a free one."""
        self.database = database
        self.readers = min(readers, database.connections)
        self._turns = asyncio.Semaphore(max(1, database.connections // self.readers))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Snapshot]:
        """Open a snapshot of what is committed now; later commits are invisible in it.

        Raises:
            DatabaseUnreachable: The database does not answer, or goes away while the snapshot is in use.
        """
        async with self._turns:
            # Also around what ends the transactions: of a server that has gone that fails as well.
            with self.database.connected():
                async with AsyncExitStack() as stack:
                    with self.database.connecting():
                        async with asyncio.timeout(self.database.wait_s):
                            connections = [
                                await stack.enter_async_context(self.database.read_engine.connect())
                                for _ in range(self.readers)
                            ]
                        if self.database.is_sqlite:
                            snapshot = Snapshot(await self._align_sqlite(connections))
                        else:
                            snapshot = await self._share(connections, stack)
                    yield snapshot

    async def _align_sqlite(self, connections: list[AsyncConnection]) -> list[AsyncConnection]:
        """Begin every connection's transaction between the same two commits; return those that share them.

        SQLite cannot export a snapshot. Holding the write lock while the readers begin keeps any commit, of
        this process or another, from falling between them. Without the right to write, look whether one did.
        """
        first, *others = connections
        if not self.database.read_only:
            async with self.database.write_engine.begin():
                await _begin(connections)
            return connections
        for _ in range(_MAX_ALIGNMENTS):
            before = await first.scalar(_DATA_VERSION)
            await first.rollback()
            await _begin(others)
            if await first.scalar(_DATA_VERSION) == before:
                return connections
            for connection in connections:
                await connection.rollback()
        await _begin([first])
        return [first]

    async def _share(self, connections: list[AsyncConnection], stack: AsyncExitStack) -> Snapshot:
        """Export the leader's snapshot and let every follower that can import it join.

        A pooler may have fewer sessions than followers, and questions that each hold some of them while they
        wait for the rest would wait forever: nobody waits for more than the leader's. A pooler may also lead
        a follower to another server, where the snapshot is unknown; it is not used.
        """
        leader, *followers = connections
        exported: str = await leader.scalar(text("SELECT pg_export_snapshot()"))
        snapshot = Snapshot([leader], exported)
        joining = [asyncio.create_task(snapshot.join(follower)) for follower in followers]
        stack.push_async_callback(_cancelled, joining)
        if joining:
            await asyncio.wait(joining, timeout=_JOIN_PATIENCE_S)
        return snapshot


async def _begin(connections: list[AsyncConnection]) -> None:
    """Begin SQLite transactions: a snapshot starts with the first read, not with BEGIN."""
    for connection in connections:
        await connection.execute(text("SELECT 1 FROM sqlite_master LIMIT 1"))


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _join_snapshot(connection: AsyncConnection, exported: str) -> None:
    """Begin a PostgreSQL transaction on an exported snapshot."""
    # The id comes from the server; SET TRANSACTION accepts no bound parameter.
    await connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{exported}'")


class Snapshot:
    """One view of the data; each task gets its own session on it."""

    def __init__(self, connections: list[AsyncConnection], exported: str | None = None) -> None:
        """Wrap connections that share a view; `exported` is PostgreSQL's id of it."""
        self._exported = exported
        # The leader's transaction keeps the exported snapshot alive. Queued first (LIFO), it is used last.
        self._leader = connections[0] if exported is not None else None
        self._free: asyncio.LifoQueue[AsyncConnection] = asyncio.LifoQueue()
        for connection in connections:
            self._free.put_nowait(connection)
        self.user_id: int | None = None
        """Of the one whose rows its sessions see; None: they see all."""

    def confined_to(self, user_id: int) -> Snapshot:
        """Return the same view, of which sessions see only what this user may see."""
        view = copy(self)
        view.user_id = user_id
        return view

    async def join(self, connection: AsyncConnection) -> None:
        """Import the snapshot into a connection and let tasks use it; without a word leave it out."""
        with suppress(DBAPIError, OSError):
            await _join_snapshot(connection, self._exported or "")
            self._free.put_nowait(connection)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ReadSession]:
        """Open a session for the current task; cancelling the task stops its running statement.

        After an error the connection is reused. After a cancelled statement it is lost; tasks notice
        only when all connections are lost.
        """
        connection = await self._free.get()
        savepoint = await connection.begin_nested() if connection is self._leader else None
        try:
            async with (
                stop_statement_on_cancel(connection),
                ReadSession(connection, autoflush=False, join_transaction_mode="rollback_only") as session,
            ):
                with only_rows_of(session, self.user_id):
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
        """Return whether the connection still shows the snapshot, rejoining it if necessary."""
        if connection.invalidated or connection.closed:
            return False
        if savepoint is not None:
            await savepoint.rollback()
            return True
        if self._exported is None or not isinstance(error, DBAPIError):
            return True  # a SQLite read transaction survives a failed statement
        await connection.rollback()
        try:
            await _join_snapshot(connection, self._exported)
        except DBAPIError:  # the leader was cancelled, so the snapshot is gone
            return False
        return True


@asynccontextmanager
async def stop_statement_on_cancel(connection: AsyncConnection) -> AsyncIterator[None]:
    """Interrupt SQLite's statement if the current task is cancelled within the block.

    Otherwise a cancelled task returns only when the statement has finished. PostgreSQL's driver cancels at
    the server by itself.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, SqliteConnection):
        yield
        return
    driver.stops_with = asyncio.current_task()
    try:
        yield
    finally:
        # Otherwise this task could interrupt the connection's next user.
        driver.stops_with = None
