"""`make bench`: starts, build time, packing, recall, service, proxy, ingestion. Compare ratios within a run.

ONLY=http (or start, contexts, packing, recall, proxy, decode, ingest) runs one part.
QUICK=1 runs everything small, without PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import text

from models.database import Database
from tests.bench.asked_while_written import asked_while_written
from tests.bench.cold_days import cold_days
from tests.bench.contexts import max_not_sum, story
from tests.bench.days import days
from tests.bench.decode import decoding
from tests.bench.history import fill_history
from tests.bench.large import fill
from tests.bench.load import loads, service_under_load
from tests.bench.measure import QUICK
from tests.bench.packing import packing
from tests.bench.proxying.overhead import proxies
from tests.bench.recall import SIZES, recall_sizes
from tests.bench.rollups import generate, refreshes
from tests.bench.sizes import sizes
from tests.bench.soak import SECONDS, soak
from tests.bench.start import starts
from tests.bench.ticks import shared_ticks
from tests.bench.writing import writes
from tests.support.prepared_databases import STORY_ANCHOR, PostgresServer, copy_of_story, migrate, seed_story

REQUESTS = {"SQLite": 5_000 if QUICK else 1_000_000, "PostgreSQL": 250_000}
"""How many the large databases hold; BENCH_REQUESTS sets both. Writing them takes a minute or two each."""
STORY_REQUESTS = 6_155
ROLLED_UP = 1_000_000 if QUICK else 10_000_000
"""Requests a week whose rollups are generated without a log."""


def main() -> None:
    """Prints every table, or those of one part."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors")  # noqa: T201  a report
    only = os.environ.get("ONLY", "")
    if only not in {"", *PARTS}:
        sys.exit(f"ONLY={only}: expected one of {', '.join(PARTS)}")
    for name, part in PARTS.items():
        if only in ("", name):
            part()


def _prepared_contexts() -> None:
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder:
        sqlite_url, large_url = copy_of_story(folder), f"sqlite:///{folder}/large.db"
        migrate(large_url)
        urls, large_urls = {"SQLite": sqlite_url}, {"SQLite": large_url}
        with ExitStack() as stack:
            if not QUICK:
                server = PostgresServer(Path(folder) / "pg", durable=True)
                stack.callback(server.stop)
                urls["PostgreSQL"] = server.url(server.clone(seed_story))
                large_urls["PostgreSQL"] = server.url(server.clone(migrate))
            asyncio.run(_contexts(urls, large_urls))


def _recall() -> None:
    asyncio.run(recall_sizes(int(os.environ.get("BENCH_INCIDENTS", max(SIZES)))))


def _http() -> None:
    asyncio.run(_under_load())


def _ingest() -> None:
    writes()
    cold_days()
    if QUICK:
        return
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder, ExitStack() as stack:
        server = PostgresServer(Path(folder) / "pg", durable=True)
        stack.callback(server.stop)
        asyncio.run(asked_while_written(server.url(server.clone(migrate))))
        days(server)


async def _under_load() -> None:
    async with service_under_load() as service:
        capacity = await loads(service)
        if SECONDS:
            await soak(service, capacity)


async def _contexts(urls: dict[str, str], large_urls: dict[str, str]) -> None:
    databases = {kind: Database(url) for kind, url in urls.items()}
    await max_not_sum(databases)
    await story(databases)
    await shared_ticks(databases)
    large = {(kind, _requests(kind)): Database(url) for kind, url in large_urls.items()}
    for (kind, requests), database in large.items():
        print(f"{kind}: writing {requests:,} requests", file=sys.stderr)  # noqa: T201  progress
        await fill(database, requests, STORY_ANCHOR)
        await fill_history(database, STORY_ANCHOR, scale=0.05 if QUICK else 1.0)
        await _analyze(database)
    await sizes({(kind, STORY_REQUESTS): database for kind, database in databases.items()} | large)
    busiest = large["SQLite", _requests("SQLite")]
    await generate(busiest, ROLLED_UP, STORY_ANCHOR)
    await sizes({("SQLite, rollups alone", ROLLED_UP): busiest})
    await refreshes(busiest, STORY_ANCHOR)
    for database in [*databases.values(), *large.values()]:
        await database.close()


def _requests(kind: str) -> int:
    return int(os.environ.get("BENCH_REQUESTS", REQUESTS[kind]))


async def _analyze(database: Database) -> None:
    """PostgreSQL's autovacuum would get to it in a minute; SQLite never gathers statistics by itself."""
    if not database.is_sqlite:
        async with database.write() as session:
            await session.execute(text("ANALYZE"))


PARTS: dict[str, Callable[[], None]] = {
    "start": starts,
    "contexts": _prepared_contexts,
    "packing": packing,
    "recall": _recall,
    "http": _http,
    "proxy": proxies,
    "decode": decoding,
    "ingest": _ingest,
}

if __name__ == "__main__":
    main()
