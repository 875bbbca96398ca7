"""Rollups are what the log adds up to, however it was written, and are made so where they are not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from sqlalchemy import delete, func, select, text, update

from api.ingest.store import commit
from models import Deployment, Request, RequestRollup, Resolution, User, UserSpend
from models.database import Database
from models.errors import LogIncomplete
from models.request_log import NewRequest, append
from models.request_log.days import lock_day
from models.request_log.recount import check_day, days_of, rebuild_day

pytestmark = pytest.mark.both_databases

MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
_EDGES = (0, 0.000001, 59.999999, 60, 599.999999, 3599.999999, 3600, -0.000001, -60, 86_399.999999)
"""Seconds on both sides of the edges of buckets."""


@pytest.fixture
async def owners(database: Database) -> None:
    async with database.write() as session:
        session.add_all(
            Deployment(public_id=f"m{n}/b", model=f"m{n}", backend="b", created_at=MIDNIGHT) for n in range(2)
        )
        session.add_all(
            User(public_id=f"u{n}", tier="premium", created_at=MIDNIGHT, updated_at=MIDNIGHT)
            for n in range(3)
        )


def drawn(chance: random.Random, number: int) -> NewRequest:
    """A request with this number; each draw of it is another, of which the first counts."""
    status = chance.choice(["success", "success", "error", "timeout", "rate_limited", "pending"])
    return NewRequest(
        public_id=f"r{number}",
        created_at=MIDNIGHT + timedelta(seconds=chance.choice((*_EDGES, chance.uniform(-9_000, 9_000)))),
        user_id=chance.randrange(1, 4),
        deployment_id=chance.randrange(1, 3),
        tier=chance.choice(["premium", "budget"]),
        status=status,
        error_code="502" if status == "error" else None,
        latency_ms=chance.choice([None, 0, 1, 2, chance.randrange(20_000)]),
        cost_usd=Decimal(chance.randrange(10**9)).scaleb(-9),
        prompt_tokens=chance.choice([None, chance.randrange(9_000)]),
        task_type=chance.choice([None, "chat"]),
    )


async def write_at_once(database: Database, batches: Sequence[Sequence[NewRequest]]) -> list[dict[str, int]]:
    return await asyncio.gather(*(commit(database, partial(append, requests=batch)) for batch in batches))


async def differing(database: Database) -> list[str]:
    found: list[str] = []
    async with database.read() as session:
        for day in await days_of(session):
            check = await check_day(session, day)
            assert not check.missing
            found += check.differing
    return found


@pytest.mark.parametrize("seed", range(2))
async def test_batches_in_any_order_at_once_and_again_leave_what_the_log_adds_up_to(
    database: Database, owners: None, seed: int
) -> None:
    """Of equal ids one row is logged, one batch is told that it wrote it, and each bucket counts it once."""
    chance = random.Random(seed)  # noqa: S311  test data
    told: list[str] = []
    for _ in range(3):
        numbers = [chance.randrange(150) for _ in range(chance.randrange(2, 120))]
        batches = [[drawn(chance, number) for number in numbers[part::3]] for part in range(3)]
        for added in await write_at_once(database, batches):
            told += added
        assert await differing(database) == []
    async with database.read() as session:
        logged = (await session.scalars(select(Request.public_id))).all()
        hours = select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == Resolution.HOUR)
        assert await session.scalar(hours) == len(logged)
    assert sorted(told) == sorted(logged)


async def test_of_equal_ids_in_a_batch_the_first_is_logged(database: Database, owners: None) -> None:
    """So it is in a later batch."""
    chance = random.Random(5)  # noqa: S311  test data
    first, second = (drawn(chance, 1) for _ in range(2))
    first.latency_ms, second.latency_ms = 11, 22
    await write_at_once(database, [[first, second]])
    await write_at_once(database, [[second]])
    async with database.read() as session:
        assert (await session.scalars(select(Request.latency_ms))).all() == [11]


async def test_what_differs_is_named_and_made_right_by_the_day(database: Database, owners: None) -> None:
    """A wrong sum, a lost bucket and one of nothing are found; the days that are right are left alone."""
    chance = random.Random(6)  # noqa: S311  test data
    await write_at_once(database, [[drawn(chance, number) for number in range(200)]])
    async with database.write() as session:
        before = (await session.scalars(select(RequestRollup.id).order_by(RequestRollup.id))).all()
        one, other = before[0], before[-1]
        await session.execute(
            update(RequestRollup).where(RequestRollup.id == one).values(latency_sum_ms=123_456)
        )
        await session.execute(delete(RequestRollup).where(RequestRollup.id == other))
        await session.execute(update(UserSpend).where(UserSpend.user_id == 1).values(minutes="[]"))
    found = await differing(database)
    assert len(found) >= 3
    assert {line.split()[0] for line in found} == {"request_rollups", "user_spend"}
    async with database.read() as session:
        days = await days_of(session)
    assert [await rebuild_day(database, day) for day in days] == [True, True]
    assert await differing(database) == []
    assert [await rebuild_day(database, day) for day in days] == [False, False]


async def test_a_day_whose_requests_are_gone_keeps_its_rollups(database: Database, owners: None) -> None:
    """They alone know of requests that were removed; so they do of tiers that the log was not given."""
    chance = random.Random(7)  # noqa: S311  test data
    await write_at_once(database, [[drawn(chance, number) for number in range(60)]])
    async with database.write() as session:
        await session.execute(update(RequestRollup).values(slowest_request_id=None))
        await session.execute(update(Request).where(Request.created_at >= MIDNIGHT).values(tier=None))
        before = (await session.execute(select(RequestRollup.__table__))).all()
    assert await differing(database) == []
    async with database.write() as session:
        gone = select(func.min(Request.id)).where(Request.created_at < MIDNIGHT).scalar_subquery()
        await session.execute(delete(Request).where(Request.id == gone))
        await session.execute(update(UserSpend).values(failed=UserSpend.failed + 1))
    for day, reason in ((MIDNIGHT - DAY, "not in the log any more"), (MIDNIGHT, "without the tier")):
        with pytest.raises(LogIncomplete, match=reason):
            await rebuild_day(database, day)
    async with database.read() as session:
        assert (await session.execute(select(RequestRollup.__table__))).all() == before


async def test_a_day_is_rebuilt_while_it_is_written_to(database: Database, owners: None) -> None:
    """Writers of the day wait for the rebuild, so that no request of theirs is lost or counted twice."""
    chance = random.Random(8)  # noqa: S311  test data
    await write_at_once(database, [[drawn(chance, number) for number in range(50)]])

    async def rebuild() -> None:
        for _ in range(3):
            async with database.write() as session:
                await session.execute(update(UserSpend).values(failed=UserSpend.failed + 1))
            for day in (MIDNIGHT - DAY, MIDNIGHT):
                await rebuild_day(database, day)

    async def write(first: int) -> None:
        for number in range(first, first + 50, 10):
            await write_at_once(database, [[drawn(chance, number + n) for n in range(10)]])

    await asyncio.gather(rebuild(), write(100), write(200))
    assert await differing(database) == []


async def test_writers_of_a_day_wait_for_its_rebuild(database: Database, owners: None) -> None:
    """Those of another day do not, and on SQLite there is one writer anyway."""
    if database.is_sqlite:
        pytest.skip("its one writer is alone")
    chance = random.Random(9)  # noqa: S311  test data
    today, before = drawn(chance, 1), drawn(chance, 2)
    today.created_at, before.created_at = MIDNIGHT, MIDNIGHT - DAY
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with database.write() as session:
        await lock_day(session, MIDNIGHT)
        await write_at_once(database, [[before]])
        writer = asyncio.create_task(write_at_once(database, [[today]]))
        while not await session.scalar(waiting):
            assert not writer.done()
    assert (await writer)[0].keys() == {"r1"}
