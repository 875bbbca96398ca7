"""Days in Parquet files beside the database: bytes of a request, moving them, and finding one by its id."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import text

from context_builder.queries import RequestFilter, recent_requests, request_detail
from models import Deployment, User
from models.database import Database
from models.request_log import NewRequest, append
from models.request_log.cold import ColdFiles
from models.request_log.cold.moving import move_days
from tests.bench.measure import QUICK, measure, show
from tests.bench.writing import START, items_of
from tests.support.prepared_databases import migrate

DAYS = 2 if QUICK else 5
A_DAY = 2_000 if QUICK else 100_000
_AT_ONCE = 10_000
_FREE = "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"


def cold_days() -> None:
    """Prints the table, on SQLite."""
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder:
        url = f"sqlite:///{folder}/log.db"
        migrate(url)
        asyncio.run(_measure(Database(url, cold_files=ColdFiles(f"{folder}/cold")), Path(folder)))


async def _measure(database: Database, folder: Path) -> None:
    names = await _fill(database)
    reads = {
        "one by its id": partial(_detail, database, names[len(names) // 2]),
        "50 newest of a day": partial(_newest, database, START + timedelta(days=1)),
        "50 newest of all": partial(_newest, database, None),
    }
    hot = {name: await measure(read, runs=20) for name, read in reads.items()}
    started = time.process_time()
    moved = await move_days(database, before=START + timedelta(days=DAYS - 1))
    took = time.process_time() - started
    rows = sum(one.rows for one in moved)
    async with database.read() as session:
        free = await session.scalar(text(_FREE))
    cold = {name: await measure(read, runs=20) for name, read in reads.items()}
    table = [
        (
            "bytes of a request",
            f"{(free or 0) / rows:,.0f}",
            f"{sum(one.bytes for one in moved) / rows:,.1f}",
        ),
        *((f"{name}, CPU ms", f"{hot[name].cpu_ms:,.1f}", f"{cold[name].cpu_ms:,.1f}") for name in reads),
        ("moved, requests a CPU-second", "", f"{rows / took:,.0f}"),
    ]
    title = f"Cold days: {rows:,} requests of {len(moved)} days, SQLite"
    show(title, ("", "in the database", "in files"), table)
    await database.close()


async def _fill(database: Database) -> list[str]:
    """Append requests of DAYS days; return their ids."""
    async with database.write() as session:
        session.add_all(
            Deployment(public_id=f"m/b{n}", model="m", backend=f"b{n}", created_at=START) for n in range(10)
        )
        session.add_all(
            User(public_id=f"user_{n}", tier="premium", created_at=START, updated_at=START)
            for n in range(2_000)
        )
    requests = [
        NewRequest(
            public_id=item["id"],
            created_at=datetime.fromisoformat(item["created_at"]),
            user_id=1 + int(item["user"].removeprefix("user_")),
            deployment_id=1 + n % 10,
            tier=item["tier"],
            status=item["status"],
            latency_ms=item["latency_ms"],
            prompt_tokens=item["prompt_tokens"],
            task_type=item["task_type"],
            routing_reason={"policy": "least-loaded", "attempt": 1, "trace_id": item["id"][4:20]},
        )
        for n, item in enumerate(items_of(DAYS * A_DAY, A_DAY / 86_400))
    ]
    for start in range(0, len(requests), _AT_ONCE):
        async with database.write() as session:
            await append(session, requests[start : start + _AT_ONCE])
    return [request.public_id for request in requests]


async def _detail(database: Database, name: str) -> None:
    async with database.read() as session:
        await request_detail(session, name)


async def _newest(database: Database, until: datetime | None) -> None:
    async with database.read() as session:
        await recent_requests(session, RequestFilter(until=until))
