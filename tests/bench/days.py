"""Days of the log on PostgreSQL: finding a request by its id alone, by how many there are; removing one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from itertools import cycle

from sqlalchemy import text

from context_builder.telemetry.newest_requests import load_request
from models import Deployment, User
from models.database import Database
from models.request_log.partitions import drop_partition
from models.request_log.retention import delete_day
from tests.bench.measure import measure, show
from tests.support.prepared_databases import PostgresServer, migrate

NUMBERS = (1, 30, 90, 365)
REMOVED = 200_000
"""Requests of a day that is removed."""
_EACH = 100
_DAY = timedelta(days=1)
_FILL = text(
    "INSERT INTO requests (public_id, created_at, user_id, deployment_id, status, cost_nanousd, latency_ms)"
    " SELECT CAST(:day AS text) || n, CAST(CAST(:day AS text) AS timestamptz) + n * interval '0.1 s', 1, 1,"
    " 'success', 0, n FROM generate_series(1, CAST(:number AS int)) AS n"
)


def days(server: PostgresServer) -> None:
    """Prints both tables."""
    asyncio.run(_measure([server.url(server.clone(migrate)) for _ in (*NUMBERS, REMOVED)]))


async def _measure(urls: list[str]) -> None:
    rows = [await _found(Database(url), number) for url, number in zip(urls, NUMBERS, strict=False)]
    show("A request by its id alone", ("days", "p50 ms", "p99 ms", "locks"), rows)
    database = Database(urls[-1])
    first, second = await _fill(database, 2, REMOVED)
    whole = await _seconds(drop_partition(database, first, rows=REMOVED))
    one_by_one = await _seconds(delete_day(database, second))
    await database.close()
    taken = [("its partition", f"{whole:.2f}"), ("its rows", f"{one_by_one:.2f}")]
    show(f"Removal of a day with {REMOVED:,} requests", ("by", "s"), taken)


async def _fill(database: Database, number: int, requests: int) -> list[datetime]:
    """Append requests to each of so many days; return the days."""
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    filled = [start + n * _DAY for n in range(number)]
    async with database.write() as session:
        session.add(Deployment(id=1, public_id="m/b", model="m", backend="b", created_at=start))
        session.add(User(id=1, public_id="u", tier="budget", created_at=start, updated_at=start))
        for day in filled:
            await session.execute(text("SELECT make_request_days(ARRAY[CAST(:day AS date)])"), {"day": day})
            await session.execute(_FILL, {"day": f"{day:%Y-%m-%d}", "number": requests})
    async with database.write() as session:
        await session.execute(text("ANALYZE"))
    return filled


async def _found(database: Database, number: int) -> tuple[str, ...]:
    filled = await _fill(database, number, _EACH)
    names = cycle([f"{day:%Y-%m-%d}{n}" for n in range(1, _EACH) for day in filled])
    async with database.read() as session:
        timing = await measure(lambda: load_request(session, next(names)), runs=50)
        held = await session.scalar(text("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"))
    await database.close()
    return f"{number}", f"{timing.p50_ms:.1f}", f"{timing.p99_ms:.1f}", f"{held}"


async def _seconds(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started
