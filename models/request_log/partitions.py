"""Days of the request log on PostgreSQL: each is a partition, so that it can be removed as a whole.

Partitions are named by their day. The first one has all days before the one in its name: those from before
the log was partitioned, and those so old that none is expected. So odd moments of a sender make no tables.

An id is unique in its partition: a request that is sent again has the moment that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, Date, cast, func, select

from models.database import Database, WriteSession
from models.errors import DatabaseError
from models.postgresql_url import connect, driver_errors
from models.request_log.days import lock_day

_SNAPSHOTS_S = 60.0
"""So long older snapshots are waited for; questions take seconds."""
_PAUSE_S = 0.2
_DETACH_S = 5.0
"""So long writers to the day wait at most, and those to a new day."""
_IS_REMOVED = "being removed by Arcpoint"
"""Comment on a partition: cut off, it is dropped; one that somebody else has detached is not."""
_STATE = """
SELECT CASE WHEN inhrelid IS NULL THEN 'detached' WHEN inhdetachpending THEN 'pending' ELSE 'attached' END
FROM pg_class LEFT JOIN pg_inherits ON inhrelid = oid
WHERE oid = to_regclass($1) AND pg_has_role(relowner, 'USAGE')
"""
"""None: there is no such day, or it is not ours to remove."""
_LEFT_OVER = """
SELECT relname FROM pg_class
WHERE relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'requests'::regclass)
AND relname LIKE 'requests\\_%' AND relkind = 'r' AND obj_description(oid, 'pg_class') = $1
AND pg_has_role(relowner, 'USAGE')
AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = pg_class.oid AND NOT inhdetachpending)
"""
_OLDER_SNAPSHOTS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND age(backend_xmin) >= age($1::xid)
"""


def partition_of(day: datetime) -> str:
    """Return the name of the partition of a day that has its own; names are ordered as days are."""
    return "requests_" + day.date().isoformat().replace("-", "")


async def make_partitions(session: WriteSession, moments: Iterable[datetime]) -> None:
    """Make the partitions that moments lack; others that lack one wait for the end of the transaction.

    The database does it in the name of the log's owner, so who writes needs no more rights than that.
    """
    if session.get_bind().dialect.name != "sqlite":
        days = sorted({moment.astimezone(UTC).date() for moment in moments})
        await session.execute(select(func.make_request_days(cast(days, ARRAY(Date)))))


async def drop_partition(database: Database, day: datetime, *, rows: int | None = None) -> bool:
    """Remove a day with all of its requests, if it has a partition of its own; return whether it did.

    It stays if there are not as many `rows` as given, if a snapshot of before is in use for long, or if the
    log is another role's. Readers do not wait; writers of this day do for seconds.

    Raises:
        DatabaseError: The database refuses it, or cannot be reached. The next call goes on.
    """
    if database.is_sqlite:
        return False
    async with _connection(database, partition_of(day)) as connection:
        return await _drop_partition(database, connection, day, rows)


async def finish_removals(database: Database) -> None:
    """Remove the days whose removal was interrupted: statements see them no more, and no other day can go.

    Raises:
        DatabaseError: The database refuses it, or cannot be reached.
    """
    if database.is_sqlite:
        return
    async with _connection(database, "a day whose removal was interrupted") as connection:
        for row in await connection.fetch(_LEFT_OVER, _IS_REMOVED):
            await _finish(connection, row[0])


@asynccontextmanager
async def _connection(database: Database, what: str) -> AsyncIterator[Any]:
    """Open a connection outside of transactions; raise DatabaseError for its errors."""
    failures: tuple[type[Exception], ...] = (OSError, *driver_errors())
    try:
        connection = await connect(database.url)
        try:
            yield connection
        finally:
            await connection.close()
    except failures as error:
        reason = str(error) or "somebody reads it for long"
        raise DatabaseError(f"{what} cannot be removed: {reason}") from error


async def _drop_partition(database: Database, connection: Any, day: datetime, rows: int | None) -> bool:
    name = partition_of(day)
    state = await connection.fetchval(_STATE, name)
    if state == "attached":
        if not await _are_snapshots_newer(connection):
            return False
        async with database.write() as session:
            await lock_day(session, day)
            if rows not in (None, await connection.fetchval(f"SELECT count(*) FROM {name}")):  # noqa: S608
                return False
            await connection.execute(f"COMMENT ON TABLE {name} IS '{_IS_REMOVED}'")
            # Cut off, it is detached for whom begins from now on, and for the others later.
            with suppress(TimeoutError):
                detach = f"ALTER TABLE requests DETACH PARTITION {name} CONCURRENTLY"
                await connection.execute(detach, timeout=_DETACH_S)
    elif state is None:
        return False
    await _finish(connection, name)
    return True


async def _finish(connection: Any, name: str) -> None:
    """Drop a partition that is being detached. Who makes a day waits for the first step, so it has an end."""
    if await connection.fetchval(_STATE, name) == "pending":
        await connection.execute(f"ALTER TABLE requests DETACH PARTITION {name} FINALIZE", timeout=_DETACH_S)
    await connection.execute(f"DROP TABLE {name}", timeout=_DETACH_S)


async def _are_snapshots_newer(connection: Any) -> bool:
    """Wait until nobody reads in a snapshot from before; return whether that was soon.

    A table that is gone is gone in those, too: they would not know where else the day is.
    """
    now = await connection.fetchval("SELECT pg_current_xact_id()::xid")
    with suppress(TimeoutError):
        async with asyncio.timeout(_SNAPSHOTS_S):
            while await connection.fetchval(_OLDER_SNAPSHOTS, now):  # noqa: ASYNC110  others' transactions
                await asyncio.sleep(_PAUSE_S)
            return True
    return False
