"""A database with separate read and write engines.

Readers cannot write (the database refuses), and writers cannot starve readers of connections.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from models.errors import DatabaseError, DatabaseNotMigrated, DatabaseReadOnly, DatabaseUnreachable

BUSY_TIMEOUT_S = 10
"""Seconds that a SQLite writer waits for another writing process."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}


class ReadSession(AsyncSession):
    """A read-only session of one task; the database refuses writes."""


class WriteSession(AsyncSession):
    """A session whose transaction commits at the end of its block and rolls back if the block raises."""


def parse_url(url: str) -> URL:
    """Parse a database URL and fill in its async driver.

    Raises:
        DatabaseError: The URL is malformed or not supported; the message says what is accepted.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        shown = re.sub(":.*@", ":***@", url)
        raise DatabaseError(
            f"not a database URL: {shown!r}; expected sqlite:///path/to/file.db or "
            "postgresql://user:password@host/name"
        ) from None
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        raise DatabaseError(
            f"database {parsed.get_backend_name()!r} is not supported; use sqlite:///... or postgresql://..."
        )
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise DatabaseError("SQLite needs a file, for example sqlite:///arcpoint.db")
    return parsed.set(drivername=driver)


class Database:
    """The engines of one database; call `close` when done."""

    def __init__(self, url: str, *, connections: int = 24, read_only: bool = False) -> None:
        """Create the engines; `connections` limits the read connections, `read_only` forbids writes."""
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.connections = connections
        self.read_only = read_only
        self.read_engine = self._engine(read_only=True, connections=connections)
        self.write_engine = self._engine(read_only=False, connections=1 if self.is_sqlite else 5)

    def __repr__(self) -> str:
        return f"Database({self.shown_url})"

    @property
    def shown_url(self) -> str:
        """Return the URL without its password, for messages."""
        return self.url.difference_update_query(["password"]).render_as_string(hide_password=True)

    def _engine(self, *, read_only: bool, connections: int) -> AsyncEngine:
        pool: dict[str, Any] = {"pool_size": connections, "max_overflow": 0, "pool_timeout": 30}
        if self.is_sqlite:
            engine = create_async_engine(self.url, connect_args={"timeout": BUSY_TIMEOUT_S}, **pool)
            _use_explicit_transactions(engine, read_only=read_only)
            return engine
        return create_async_engine(
            self.url,
            # Only REPEATABLE READ can import an exported snapshot.
            isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
            execution_options={"postgresql_readonly": read_only},
            connect_args={"timeout": 10},
            pool_pre_ping=True,
            **pool,
        )

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """Open a transaction: committed at the end of the block, rolled back if the block raises.

        Raises:
            DatabaseReadOnly: The database is open read-only.
        """
        if self.read_only:
            raise DatabaseReadOnly(
                f"{self.shown_url} is open read-only (ARCPOINT_READ_ONLY); nothing was changed"
            )
        async with WriteSession(self.write_engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """Open a session on what is committed now; for several tasks at once use `models.snapshot`."""
        async with ReadSession(self.read_engine, autoflush=False) as session:
            yield session

    async def checkpoint(self) -> None:
        """Truncate SQLite's write-ahead log, so that deleted data is gone, if readers allow it."""
        if not self.is_sqlite:
            return

        def truncate() -> None:
            with closing(sqlite3.connect(self.url.database or "", timeout=BUSY_TIMEOUT_S)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        await asyncio.to_thread(truncate)

    async def revision(self) -> str | None:
        """Return the migration that the schema is at; None for an empty database.

        Raises:
            DatabaseUnreachable: The database does not answer.
        """
        if self.is_sqlite and not await asyncio.to_thread(Path(self.url.database or "").exists):
            # Connecting would create an empty file, which then looks like a database.
            return None
        try:
            async with self.read_engine.connect() as connection:
                rows = await connection.execute(text("SELECT version_num FROM alembic_version"))
                return rows.scalar()
        except DBAPIError as error:
            if _is_missing_table(error):
                return None
            raise DatabaseUnreachable(self._unreachable(error.orig or error)) from error
        except (OSError, TimeoutError, PoolTimeout, NoSuchModuleError) as error:
            raise DatabaseUnreachable(self._unreachable(error)) from error

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Raise DatabaseUnreachable for any database error in a block that only connects."""
        try:
            yield
        except (DBAPIError, OSError, TimeoutError, PoolTimeout) as error:
            cause = error.orig if isinstance(error, DBAPIError) else None
            raise DatabaseUnreachable(self._unreachable(cause or error)) from error

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Raise DatabaseUnreachable if the connection breaks in a block that reads or writes."""
        try:
            yield
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise DatabaseUnreachable(self._unreachable(error.orig or error)) from error

    async def require_revision(self, expected: str) -> None:
        """Check that the schema is at `expected`.

        Raises:
            DatabaseNotMigrated: It is at another revision, or there is none.
            DatabaseUnreachable: The database does not answer.
        """
        actual = await self.revision()
        if actual != expected:
            found = "has no Arcpoint schema" if actual is None else f"is at schema {actual}"
            raise DatabaseNotMigrated(
                f"{self.shown_url} {found}, this version needs {expected}; run `arcpoint db upgrade`"
            )

    def _unreachable(self, error: BaseException) -> str:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"cannot use the database {self.shown_url}: {reason}"

    async def close(self) -> None:
        """Close all connections."""
        await self.read_engine.dispose()
        await self.write_engine.dispose()


def _is_missing_table(error: DBAPIError) -> bool:
    return "no such table" in str(error.orig) or getattr(error.orig, "sqlstate", None) == "42P01"


def _use_explicit_transactions(engine: AsyncEngine, *, read_only: bool) -> None:
    """Begin SQLite transactions explicitly: the driver's own mode gives readers no snapshot."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is issued below
        cursor = connection.cursor()
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        else:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        # A writer takes its lock at once, since upgrading a read lock later can fail without waiting.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
