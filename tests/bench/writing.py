"""From the body of a post to the commit: beside the fastest way that the same rows can be written at all."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psutil
from sqlalchemy import func, select, text

from api.ingest.live.group_commit import GroupCommit, Post
from api.ingest.live.items import kind_receiver
from api.ingest.live.message import Message
from api.ingest.records import RequestRecord
from api.ingest.store import Outcome
from models import Deployment, Request, RequestRollup, User, UserSpend
from models.database import Database
from models.request_log.bulk import _stored
from models.request_log.partitions import make_partitions
from models.request_log.rows import LOG
from tests.bench.measure import QUICK, show
from tests.support.prepared_databases import PostgresServer, migrate

START = datetime(2026, 11, 20, tzinfo=UTC)
RATES = {"sparse, 2.3/s": 2.3, "dense, 55/s": 55.0}
BATCH = 500 if QUICK else 5_000
BATCHES = 2 if QUICK else 4
_USERS = 2_000
_DEPLOYMENTS = 10
_RECEIVER = kind_receiver(RequestRecord)
_COLUMNS = ("public_id", *LOG.others)

Item = dict[str, Any]


def items_of(number: int, rate: float, start: datetime = START, *, seed: int = 5) -> Iterator[Item]:
    """Requests of a gateway as a sender writes them, so many a second, in the order of time."""
    chance = random.Random(seed)  # noqa: S311  a benchmark
    for n in range(number):
        # Some users ask far more than others.
        user, deployment = int(_USERS * chance.random() ** 2), chance.randrange(_DEPLOYMENTS)
        failed = chance.random() < 0.01
        yield (
            {
                "id": f"req_{chance.getrandbits(96):024x}",
                "created_at": (start + timedelta(seconds=n / rate)).isoformat(),
                "user": f"user_{user}",
                "tier": ("premium", "standard", "budget")[user % 3],
                "model": f"model-{deployment % 5}",
                "backend": f"backend-{deployment // 5}",
                "status": "error" if failed else "success",
                "latency_ms": round(chance.lognormvariate(7, 0.5)),
                "cost_usd": chance.randrange(1, 5_000_000) / 1e9,
                "prompt_tokens": chance.randrange(50, 4_000),
                "completion_tokens": chance.randrange(1, 1_000),
                "task_type": ("chat", "code")[n % 2],
                "router_version": "v2.4.0",
            }
            | ({"error_code": "502"} if failed else {})
        )


async def add_owners(database: Database) -> tuple[dict[str, int], dict[str, int]]:
    """Write the users and deployments; give their ids by public id."""
    deployments = [
        Deployment(public_id=f"model-{n % 5}/backend-{n // 5}", model=f"model-{n % 5}",
                   backend=f"backend-{n // 5}", created_at=START)
        for n in range(_DEPLOYMENTS)
    ]  # fmt: skip
    tiers = ("premium", "standard", "budget")
    users = [
        User(public_id=f"user_{n}", tier=tiers[n % 3], created_at=START, updated_at=START)
        for n in range(_USERS)
    ]
    async with database.write() as session:
        session.add_all([*deployments, *users])
        await session.flush()
        return {row.public_id: row.id for row in users}, {row.public_id: row.id for row in deployments}


class Product:
    """What the service does with a post."""

    def __init__(self, database: Database) -> None:
        self._commits = GroupCommit(database, wait_s=0)

    async def write(self, body: bytes) -> int:
        """Decode and store a post; gives how many requests were new."""
        now = datetime(2026, 12, 1, tzinfo=UTC)
        decoded = _RECEIVER.decode(Message(body=body, received_at=now))
        stored = await self._commits.store(Post("requests", now, decoded))
        return stored.counts[Outcome.ADDED]


def rows_of(
    items: Sequence[Item], users: dict[str, int], deployments: dict[str, int]
) -> list[tuple[Any, ...]]:
    """The same requests as rows of the log."""
    return [
        (
            item["id"], datetime.fromisoformat(item["created_at"]), users[item["user"]],
            deployments[f"{item['model']}/{item['backend']}"], item["tier"], item["status"],
            item.get("error_code"),
            item["latency_ms"], round(Decimal(str(item["cost_usd"])) * 10**9), item["prompt_tokens"],
            item["completion_tokens"], None, item["task_type"], item["router_version"], None,
        )
        for item in items
    ]  # fmt: skip


class Clock:
    """CPU seconds of this process and of the server's processes that serve a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._servers: list[psutil.Process] = []

    async def start(self) -> None:
        """Find the processes; call it when the connections are open."""
        if not self._database.is_sqlite:
            async with self._database.read() as session:
                found = await session.scalars(
                    text(
                        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                        " AND backend_type = 'client backend'"
                    )
                )
                self._servers = [psutil.Process(pid) for pid in found]

    def now(self) -> float:
        return time.process_time() + sum(sum(server.cpu_times()[:2]) for server in self._servers)


@dataclass(slots=True)
class Spent:
    """CPU seconds by batch."""

    raw: list[float] = field(default_factory=list)
    product: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    """The product with a batch that it has."""


async def _timed(clock: Clock, action: Callable[[], Awaitable[object]]) -> float:
    started = clock.now()
    await action()
    return clock.now() - started


async def compare(raw: Database, product: Database, rate: float) -> tuple[Spent, dict[str, float]]:
    """Write batches by turns, the fastest way and the product's, each into a database of its own."""
    users, deployments = await add_owners(raw)
    await add_owners(product)
    async with raw.write() as session:
        days = int(BATCH * (BATCHES + 1) / rate // 86_400) + 1
        await make_partitions(session, [START + timedelta(days=day) for day in range(days)])
    items, writer, spent = list(items_of(BATCH * (BATCHES + 1), rate)), Product(product), Spent()
    clocks = Clock(raw), Clock(product)
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        body, rows = msgspec.json.encode(batch), rows_of(batch, users, deployments)
        measured = (
            await _timed(clocks[0], lambda: write_raw(raw, rows)),  # noqa: B023  awaited at once
            await _timed(clocks[1], lambda: writer.write(body)),  # noqa: B023
            await _timed(clocks[1], lambda: writer.write(body)),  # noqa: B023
        )
        if start == 0:  # connections and caches
            for clock in clocks:
                await clock.start()
            continue
        spent.raw.append(measured[0])
        spent.product.append(measured[1])
        spent.again.append(measured[2])
    return spent, await _sizes(product)


async def write_raw(database: Database, rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY on PostgreSQL, executemany on SQLite; in one transaction."""
    if database.is_sqlite:
        await asyncio.to_thread(_execute_many, database.path, rows)
        return
    async with database.write_engine.begin() as connection:
        await connection.exec_driver_sql("SELECT 1")  # begins
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.copy_records_to_table("requests", records=rows, columns=_COLUMNS)


def _execute_many(path: Path, rows: Sequence[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(_COLUMNS))
    statement = f"INSERT INTO requests ({', '.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608  ours
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executemany(statement, [_stored(row) for row in rows])


async def _sizes(database: Database) -> dict[str, float]:
    """Rows of rollups and bytes by request."""
    async with database.read() as session:
        counted = {
            table: await session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Request, RequestRollup, UserSpend)
        }
        found = {"rows": (counted[RequestRollup] + counted[UserSpend]) / counted[Request]}
        if not database.is_sqlite:
            size = text(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
                " WHERE relkind = 'r' AND (relispartition OR relname IN ('request_rollups', 'user_spend'))"
            )
            found["bytes"] = float(await session.scalar(size) or 0) / counted[Request]
    return found


async def _measured(urls: tuple[str, str], rate: float) -> tuple[Spent, dict[str, float]]:
    raw, product = map(Database, urls)
    try:
        return await compare(raw, product, rate)
    finally:
        await raw.close()
        await product.close()


def _table(urls: Callable[[str], tuple[str, str]], kind: str) -> list[list[str]]:
    table = []
    for name, rate in RATES.items():
        spent, sizes = asyncio.run(_measured(urls(name), rate))
        rate_of = [BATCH * len(each) / sum(each) for each in (spent.raw, spent.product, spent.again)]
        table.append(
            [
                f"{kind}, {name}", f"{rate_of[0]:,.0f}", f"{rate_of[1]:,.0f}",
                f"{rate_of[1] / rate_of[0]:.2f}",
                f"{rate_of[2] / rate_of[1]:.1f}", f"{sizes['rows']:.2f}",
                f"{sizes['bytes']:.0f}" if "bytes" in sizes else "",
            ]
        )  # fmt: skip
    return table


def writes() -> None:
    """Prints how fast requests are written, and how much of them is."""
    gc.freeze()  # as the commands do
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder:

        def files(name: str) -> tuple[str, str]:
            made = tuple(f"sqlite:///{folder}/{name[:5]}-{way}.db" for way in ("raw", "product"))
            for url in made:
                migrate(url)
            return made[0], made[1]

        rows = _table(files, "SQLite") if os.environ.get("BENCH_SQLITE") != "0" else []
        if not QUICK:
            server = PostgresServer(Path(folder) / "pg", durable=True)
            server.clone(migrate)
            try:
                clones = lambda _name: (server.url(server.clone(migrate)), server.url(server.clone(migrate)))  # noqa: E731
                rows += _table(clones, "PostgreSQL")
            finally:
                server.stop()
    columns = ("", "raw rows/CPU-s", "ours", "ratio", "duplicates", "rollup rows", "bytes")
    show("From the wire to the commit; raw: COPY or executemany of the same rows", columns, rows)
