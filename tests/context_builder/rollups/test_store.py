"""Columns equal what SQL says on the same snapshot, whatever was written since they were loaded."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from context_builder.question.request import Window
from context_builder.rollups import store as store_module
from context_builder.rollups.rows import Groups, Rows
from context_builder.rollups.span import Span, by_ten_minutes, covering, minute_of
from context_builder.rollups.store import DEFAULT_BYTES, Rollups, RollupStore
from context_builder.rollups.table import QUALITY, REQUESTS, SPEND, RollupTable
from models import (
    Deployment,
    QualityRollup,
    Request,
    RequestRollup,
    Resolution,
    User,
    UserSpend,
    quality_log,
    request_log,
)
from models.database import Database, ReadSession, WriteSession
from models.histogram import Histogram
from models.migrations import downgrade, upgrade
from models.quality_log import NewScore
from models.request_log import NewRequest
from models.snapshot import Snapshots
from tests.support.user_failures import counted, rolled_up

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
START = NOON - timedelta(days=9)
ORM: dict[str, Any] = {
    "request_rollups": RequestRollup,
    "user_spend": UserSpend,
    "quality_rollups": QualityRollup,
}


class Gateway:
    """Sends random requests and scores, and compares columns with SQL."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.chance = random.Random(seed)  # noqa: S311  a test
        self.sent = 0

    async def start(self) -> None:
        async with self.database.write() as session:
            session.add_all(
                Deployment(public_id=f"m{n}/b", model=f"m{n}", backend="b", created_at=START)
                for n in range(3)
            )
            session.add_all(
                User(public_id=f"u{n}", tier="premium", created_at=START, updated_at=START) for n in range(4)
            )

    def request(self, number: int) -> NewRequest:
        late = self.chance.random() < 0.3
        back = timedelta(minutes=self.chance.randrange(9 * 24 * 60 if late else 90))
        status = self.chance.choice(["success", "rate_limited", "error", "timeout"])
        return NewRequest(
            public_id=f"r{number}",
            created_at=NOON - back,
            user_id=self.chance.randrange(1, 5),
            deployment_id=self.chance.randrange(1, 4),
            tier=self.chance.choice(["premium", "budget"]),
            status=status,
            error_code="502" if status == "error" else None,
            latency_ms=self.chance.choice([None, self.chance.randrange(20_000)]),
            cost_usd=Decimal(self.chance.randrange(10**9)).scaleb(-9),
            task_type=self.chance.choice([None, "chat"]),
        )

    async def write(self, session: WriteSession, size: int) -> None:
        """Append requests, some of them again, and scores of some."""
        first = max(0, self.sent - self.chance.randrange(5))
        requests = [self.request(number) for number in range(first, self.sent + size)]
        self.sent += size
        ids = await request_log.append(session, requests)
        scores = [
            NewScore(request_id=number, score=self.chance.random(), scorer="s", scored_at=NOON)
            for number in ids.values()
            if self.chance.random() < 0.3
        ]
        await quality_log.append(session, scores)

    def window(self) -> Window:
        start = START + timedelta(minutes=self.chance.randrange(9 * 24 * 60))
        return Window(start, NOON + timedelta(minutes=self.chance.randrange(60)))

    async def compare(self, store: RollupStore) -> None:
        """Compare every table over a random window, in hours, ten minutes and minutes."""
        async with (
            Snapshots(self.database, readers=2).open() as snapshot,
            await store.at(snapshot) as rollups,
        ):
            window = self.window()
            tens = Window(window.start.replace(minute=0), window.end)
            for table in (REQUESTS, SPEND):
                for spans in (covering(window), by_ten_minutes(tens)):
                    await compare(rollups, table, spans)
            await compare(rollups, QUALITY, [Span(Resolution.HOUR, tens.start, NOON)])


async def compare(rollups: Rollups, table: RollupTable, spans: Sequence[Span]) -> None:
    """Require the same rows, and the same sums, from columns and from SQL."""
    rows = await rollups.read(table, *spans)
    expected: list[Any] = []
    async with rollups.snapshot.session() as session:
        for span in spans:
            expected += await stored(session, table, span)
    expected.sort(key=lambda row: (row.id, row.bucket_start))
    unordered, order = rows, np.lexsort((rows["start"], rows["id"]))
    rows = Rows(len(rows), lambda name: unordered[name][order], rows._names)
    columns = ORM[table.name].__mapper__.columns
    assert rows["id"].tolist() == [row.id for row in expected]
    assert rows["start"].tolist() == [minute_of(row.bucket_start) for row in expected]
    for name in table.numbers:
        (attribute,) = (key for key, column in columns.items() if column.name == name)
        wanted = [getattr(row, attribute) for row in expected]
        scale = 10**9 if name == "cost_nanousd" else 1
        assert rows[name].tolist() == [-1 if value is None else int(value * scale) for value in wanted], name
    for name in table.texts:
        names, places = rows.labels(name)
        assert [names[place] for place in places] == [getattr(row, name) for row in expected]
    if table.has_histogram:
        compare_histograms(rows, expected)


async def stored(session: ReadSession, table: RollupTable, span: Span) -> Sequence[Any]:
    """Return what SQL says of a span; the minutes of users are those of their hours."""
    if table is SPEND:
        return [
            row for row in await spent(session, span.resolution) if span.start <= row.bucket_start < span.end
        ]
    orm = ORM[table.name]
    found = await session.scalars(
        select(orm).where(
            orm.bucket_start >= span.start,
            orm.bucket_start < span.end,
            *([orm.resolution == span.resolution] if table.has_resolution else []),
        )
    )
    return found.all()


async def spent(session: ReadSession, resolution: Resolution) -> list[UserSpend]:
    """Return the hours of users, or what their minutes add up to."""
    hours = (await session.scalars(select(UserSpend))).all()
    if resolution is Resolution.HOUR:
        return list(hours)
    found: dict[tuple[int, datetime], UserSpend] = {}
    width = resolution.width // timedelta(minutes=1)
    for hour in hours:
        for minute, requests, failed, nano in json.loads(hour.minutes):
            start = hour.bucket_start + timedelta(minutes=minute - minute % width)
            empty = UserSpend(
                id=hour.id, bucket_start=start, user_id=hour.user_id, requests=0, failed=0, cost_usd=0
            )
            row = found.setdefault((hour.id, start), empty)
            row.requests += requests
            row.failed += failed
            row.cost_usd += Decimal(nano).scaleb(-9)
    return list(found.values())


def compare_histograms(rows: Rows, expected: Sequence[RequestRollup]) -> None:
    names, deployment = rows.labels("deployment")
    groups = Groups(deployment)
    for place, first in enumerate(groups.first):
        members = [row for row in expected if row.deployment_id == rows["deployment_id"][first]]
        merged = Histogram.merged(row.latency_histogram for row in members)
        assert groups.histograms(rows["histogram"])[place] == merged
        assert groups.sum(rows["timed"])[place] == merged.total
        assert groups.sum(rows["requests"])[place] == sum(row.requests for row in members)
    assert len(groups) == len(names) == len({row.deployment_id for row in expected})


@pytest.mark.parametrize("max_bytes", [1, 60_000, DEFAULT_BYTES])
async def test_columns_equal_sql_after_every_write(database: Database, max_bytes: int) -> None:
    """Late, repeated and concurrent writes, rollbacks and removals: the next view shows what SQL shows."""
    gateway = Gateway(database, max_bytes)
    await gateway.start()
    store = RollupStore(max_bytes)
    for turn in range(6):
        await asyncio.gather(*(write(gateway) for _ in range(1 + turn % 3)))
        await gateway.compare(store)
        assert await rolled_up(database) == await counted(database)
    async with database.write() as session:
        await session.execute(delete(RequestRollup).where(RequestRollup.tier == "budget"))
    await gateway.compare(store)
    async with database.write() as session:
        await session.execute(update(UserSpend).values(bucket_start=UserSpend.bucket_start, requests=7))
        await session.execute(text("DELETE FROM quality_rollups"))
    await gateway.compare(store)


async def write(gateway: Gateway) -> None:
    """Write a batch; one in five is rolled back."""
    try:
        async with gateway.database.write() as session:
            await gateway.write(session, gateway.chance.randrange(1, 40))
            if gateway.chance.random() < 0.2:
                await session.execute(text("SELECT no_such_column"))
    except DBAPIError:
        pass


async def test_columns_equal_sql_after_a_migration(database: Database) -> None:
    """What a migration counts again is loaded again, also where nothing failed and no stamp changed."""
    gateway = Gateway(database, 8)
    await gateway.start()
    await write(gateway)
    await write(gateway)
    store = RollupStore()
    spans = covering(Window(START, NOON + timedelta(hours=1)))

    async def failed() -> int:
        async with Snapshots(database, readers=1).open() as snapshot, await store.at(snapshot) as rollups:
            await compare(rollups, SPEND, spans)
            return int((await rollups.read(SPEND, *spans))["failed"].sum())

    assert await failed() > 0
    async with database.write() as session:
        await session.execute(update(Request).values(status="success"))
    await downgrade(database, "0004")
    await upgrade(database)
    assert await failed() == 0


async def test_a_transaction_that_commits_late_is_seen(database: Database) -> None:
    """A row stamped before a refresh and committed after it appears with the next refresh."""
    if database.is_sqlite:
        pytest.skip("SQLite's writers are serial")
    gateway = Gateway(database, 3)
    await gateway.start()
    await write(gateway)
    store = RollupStore()
    await gateway.compare(store)
    async with database.write() as slow:
        await gateway.write(slow, 20)
        for _ in range(3):
            async with database.write() as session:
                session.add(
                    User(public_id=f"x{gateway.sent}", tier="premium", created_at=NOON, updated_at=NOON)
                )
                gateway.sent += 1
            await gateway.compare(store)
    await gateway.compare(store)


async def test_more_changes_than_are_read_are_seen(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too much has changed, what is in memory is dropped and loaded again."""
    monkeypatch.setattr(store_module, "MAX_CHANGES", 3)
    gateway = Gateway(database, 4)
    await gateway.start()
    store = RollupStore()
    for _ in range(3):
        await write(gateway)
        await gateway.compare(store)


async def test_a_view_stays_as_it_was(database: Database) -> None:
    """A view shows its own snapshot after later ones were made, also what it loads then."""
    gateway = Gateway(database, 5)
    await gateway.start()
    await write(gateway)
    store = RollupStore()
    snapshots = Snapshots(database, readers=2)
    async with snapshots.open() as snapshot, await store.at(snapshot) as rollups:
        window = Window(START, NOON + timedelta(hours=1))
        before = await rollups.read(REQUESTS, *covering(window))
        total = int(before["requests"].sum())
        for _ in range(4):
            await write(gateway)
        await gateway.compare(store)
        assert int((await rollups.read(REQUESTS, *covering(window)))["requests"].sum()) == total
        await compare(rollups, SPEND, covering(window))


async def test_an_older_snapshot_gets_its_own_columns(database: Database) -> None:
    """Where views are made out of the order of their snapshots, each shows its own."""
    gateway = Gateway(database, 6)
    await gateway.start()
    await write(gateway)
    store = RollupStore()
    await gateway.compare(store)
    window = Window(START, NOON + timedelta(hours=1))
    async with Snapshots(database, readers=2).open() as older:
        for _ in range(3):
            await write(gateway)
        await gateway.compare(store)
        async with await store.at(older) as rollups:
            await compare(rollups, REQUESTS, covering(window))
    await gateway.compare(store)


async def test_a_cancelled_asker_does_not_stop_the_load_of_others(database: Database) -> None:
    """A load is shared: anyone who still waits gets it, and it happens once."""
    gateway = Gateway(database, 7)
    await gateway.start()
    await write(gateway)
    spans = covering(Window(START, NOON + timedelta(hours=1)))
    async with (
        Snapshots(database, readers=1).open() as snapshot,
        await RollupStore().at(snapshot) as rollups,
    ):
        async with snapshot.session() as session:
            askers = [asyncio.create_task(rollups.read(REQUESTS, *spans)) for _ in range(3)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert rollups._loads
            loads = dict(rollups._loads)
            askers[0].cancel()
            await asyncio.wait([askers[0]])
            total = await session.scalar(
                select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == Resolution.HOUR)
            )
        for asker in askers[1:]:
            assert int((await asker)["requests"].sum()) == total
        assert all(load.done() and not load.cancelled() for load in loads.values())
