"""A database with separate read and write engines.

Readers cannot write (the database refuses), and writers cannot starve readers of connections.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

from models.audit_chain import AuditRecord, append
from models.errors import DatabaseError, DatabaseNotMigrated, DatabaseReadOnly, DatabaseUnreachable
from models.postgresql_url import SECRETS, connect, parse_postgresql_url
from models.sqlite_file import BUSY_TIMEOUT_S, open_file, open_to_read, parse_sqlite_url

if TYPE_CHECKING:
    from models.request_log.cold.files import ColdFiles

HEAD_REVISION = "0016"
"""Revision of the schema that this version of the code needs: that of the newest migration."""

_HINT = "; set ARCPOINT_READ_ONLY=true if it is only to be read"
_MAY_WRITE = (
    "SELECT current_setting('transaction_read_only') = 'off' AND has_table_privilege('questions', 'INSERT')"
)


class ReadSession(AsyncSession):
    """A read-only session of one task; the database refuses writes."""


class WriteSession(AsyncSession):
    """A session whose transaction commits at the end of its block and rolls back if the block raises."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.audited: list[AuditRecord] = []
        """What it does, for the audit trail: appended just before the commit, or not at all."""


def parse_url(url: str) -> URL:
    """Parse a database URL and fill in its async driver.

    Raises:
        DatabaseError: The URL is malformed or not supported; the message says what is accepted.
    """
    if parsed := parse_postgresql_url(url) or parse_sqlite_url(url):
        return parsed
    scheme, separator, _ = url.partition("://")
    if separator and re.fullmatch(r"[\w+.-]{1,40}", scheme) and not scheme.startswith("postgres"):
        raise DatabaseError(f"database {scheme!r} is not supported; use sqlite:///... or postgresql://...")
    shown = re.sub(r"(?s):.*@|(?i:password\s*=).*", ":***@", url)
    raise DatabaseError(
        f"not a database URL: {shown!r}; expected sqlite:///path/to/file.db or "
        "postgresql://user:password@host/name, with @ in a password written %40"
    )


class Database:
    """The engines of one database; call `close` when done."""

    def __init__(
        self,
        url: str,
        *,
        connections: int = 24,
        wait_s: float = 30,
        read_only: bool = False,
        cold_files: ColdFiles | None = None,
    ) -> None:
        """Create the engines; `connections` limits the read connections, `read_only` forbids writes.

        `wait_s` is how long a task waits for a connection, or a snapshot for all of its own.
        `cold_files` is where days of the request log are that are not in the database.
        """
        self.url = parse_url(url)
        self.cold_files = cold_files
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.connections = connections
        self.wait_s = wait_s
        self.read_only = read_only
        self.read_engine = self._engine(read_only=True, connections=connections)
        self.write_engine = self._engine(read_only=False, connections=1 if self.is_sqlite else 5)

    def __repr__(self) -> str:
        return f"Database({self.shown_url})"

    @property
    def shown_url(self) -> str:
        """Return the URL without its secrets, for messages."""
        if self.is_sqlite:
            return f"sqlite:///{self.path}"
        url = self.url.set(drivername=self.url.get_backend_name()).difference_update_query(SECRETS)
        return unquote_plus(url.render_as_string(hide_password=True))

    @property
    def connections_in_use(self) -> int | None:
        """Return how many read connections are in use; None if each is opened when needed."""
        pool = self.read_engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else None

    @property
    def path(self) -> Path:
        """Return the file of a SQLite database."""
        return Path(self.url.database or "")

    def _engine(self, *, read_only: bool, connections: int) -> AsyncEngine:
        # The one that was used last comes first: SQLite keeps a cache of pages for each.
        pool: dict[str, Any] = {
            "pool_size": connections,
            "max_overflow": 0,
            "pool_timeout": self.wait_s,
            "pool_use_lifo": True,
        }
        options = {"cold_files": self.cold_files}  # so that each session knows them
        if not self.is_sqlite:
            return create_async_engine(
                "postgresql+asyncpg://",
                # Only REPEATABLE READ can import an exported snapshot.
                isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
                execution_options={"postgresql_readonly": read_only, **options},
                connect_args={
                    "async_creator_fn": partial(connect, self.url),
                    # A statement without a name leaves nothing behind that a pooler could hand to another.
                    "prepared_statement_cache_size": 0,
                    "prepared_statement_name_func": lambda: "",
                },
                pool_pre_ping=True,
                **pool,
            )
        if self.read_only:
            # Whether a file can be written beside is another question whenever it is opened.
            engine = create_async_engine(
                self.url,
                async_creator=partial(open_to_read, self.path),
                poolclass=NullPool,
                execution_options=options,
            )
        else:
            opens = partial(open_file, self.path, read_only=read_only)
            engine = create_async_engine(self.url, async_creator=opens, execution_options=options, **pool)
        _use_explicit_transactions(engine, read_only=read_only)
        return engine

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """Open a transaction: committed at the end of the block, rolled back if the block raises.

        Raises:
            DatabaseReadOnly: The database is open read-only, or refuses writes.
        """
        with self.writing():
            async with WriteSession(self.write_engine, expire_on_commit=False) as session:
                async with session.begin():
                    yield session
                    if session.audited:
                        await append(session, session.audited)
                for record in session.audited:
                    record.act.is_recorded = True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Raise DatabaseReadOnly if the database must not, or cannot, be written in a block that writes."""
        if self.read_only:
            raise DatabaseReadOnly(
                f"{self.shown_url} is open read-only (ARCPOINT_READ_ONLY); nothing was changed"
            )
        try:
            yield
        except DBAPIError as error:
            if _is_read_only(error.orig):
                raise self._failure(error) from error
            raise

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
            with closing(sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        await asyncio.to_thread(truncate)

    async def revision(self) -> str | None:
        """Return the migration that the schema is at; None for an empty database.

        Raises:
            DatabaseUnreachable: The database does not answer.
            DatabaseReadOnly: It cannot be read without ARCPOINT_READ_ONLY.
        """
        if self.is_sqlite and not await asyncio.to_thread(self.path.exists):
            # Connecting would create an empty file, which then looks like a database.
            return None
        with self.connecting():
            try:
                async with self.read_engine.connect() as connection:
                    rows = await connection.execute(text("SELECT version_num FROM alembic_version"))
                    return rows.scalar()
            except DBAPIError as error:
                if _is_missing_table(error):
                    return None
                raise

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Raise DatabaseUnreachable for any database error in a block that only connects."""
        try:
            yield
        except (DBAPIError, OSError, TimeoutError, PoolTimeout, ValueError) as error:
            raise self._failure(error) from error

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Raise DatabaseUnreachable if the connection breaks in a block that reads or writes."""
        try:
            yield
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise self._failure(error) from error

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

    async def require_writable(self) -> None:
        """Check, before anything is paid for, that PostgreSQL lets this user write; SQLite says so itself.

        Raises:
            DatabaseReadOnly: It does not, and ARCPOINT_READ_ONLY is not set.
        """
        if self.read_only or self.is_sqlite:
            return
        with self.connecting():
            async with self.write_engine.connect() as connection:
                allowed = await connection.scalar(text(_MAY_WRITE))
        if not allowed:
            raise DatabaseReadOnly(f"{self.shown_url} is read-only for this user{_HINT}")

    def _failure(self, error: Exception) -> DatabaseError:
        """Return an error of the driver as one of ours, in one line."""
        cause = (isinstance(error, DBAPIError) and error.orig) or error
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        line = f"cannot use the database {self.shown_url}: {reason}"
        if not self.read_only and _is_read_only(cause):
            return DatabaseReadOnly(line + _HINT)
        return DatabaseUnreachable(line)

    async def close(self) -> None:
        """Close all connections."""
        await self.read_engine.dispose()
        await self.write_engine.dispose()


def _is_missing_table(error: DBAPIError) -> bool:
    return "no such table" in str(error.orig) or getattr(error.orig, "sqlstate", None) == "42P01"


def _is_read_only(cause: object) -> bool:
    """Return True for an error of a database that cannot be written, or not by this user."""
    name = str(getattr(cause, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")) or (
        getattr(cause, "sqlstate", None) in ("25006", "42501")
    )


def _use_explicit_transactions(engine: AsyncEngine, *, read_only: bool) -> None:
    """Begin SQLite transactions explicitly: the driver's own mode gives readers no snapshot."""

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        # A writer takes its lock at once, since upgrading a read lock later can fail without waiting.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
