"""The rollups always match the raw log."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from models import Deployment, Request, RequestRollup, Resolution, User, UserSpend
from models.database import Database
from models.histogram import RELATIVE_ERROR, Histogram
from models.request_log import NewRequest, append
from tests.support.user_failures import counted, rolled_up

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def request(number: int, **changes: Any) -> NewRequest:
    values: dict[str, object] = {
        "public_id": f"req_{number}",
        "created_at": NOON + timedelta(seconds=7 * number),
        "user_id": 1,
        "deployment_id": 1,
        "tier": "premium",
        "status": "error" if number % 5 == 0 else "timeout" if number % 7 == 0 else "success",
        "error_code": "502" if number % 5 == 0 else None,
        "latency_ms": None if number % 11 == 0 else number * 13 % 5000,
        "cost_usd": Decimal("0.000123456"),
    }
    return NewRequest(**{**values, **changes})


async def add_owner(database: Database) -> None:
    async with database.write() as session:
        session.add(Deployment(public_id="m/b", model="m", backend="b", created_at=NOON))
        session.add(User(public_id="u", tier="premium", created_at=NOON, updated_at=NOON))


async def append_in_batches(database: Database, requests: list[NewRequest], size: int) -> int:
    added = 0
    for start in range(0, len(requests), size):
        async with database.write() as session:
            added += len(await append(session, requests[start : start + size]))
    return added


@pytest.mark.parametrize("resolution", list(Resolution))
async def test_rollups_equal_the_raw_log_however_it_was_batched_or_repeated(
    database: Database, resolution: Resolution
) -> None:
    """Counts, failures, sums, money, histogram and the slowest example agree with the raw rows."""
    await add_owner(database)
    requests = [request(number) for number in range(300)]
    assert await append_in_batches(database, requests, 70) == 300
    assert await append_in_batches(database, [*requests[:150], *requests], 90) == 0

    async with database.write() as session:
        raw = (await session.scalars(select(Request))).all()
        rollups = (
            await session.scalars(select(RequestRollup).where(RequestRollup.resolution == resolution))
        ).all()
        spent = await session.scalar(select(func.sum(UserSpend.cost_usd)))
    assert sum(rollup.requests for rollup in rollups) == len(raw) == 300
    assert sum(rollup.requests for rollup in rollups if rollup.status == "error") == 60
    assert sum(rollup.latency_sum_ms for rollup in rollups) == sum(row.latency_ms or 0 for row in raw)
    assert sum(rollup.cost_usd for rollup in rollups) == spent == 300 * Decimal("0.000123456")
    assert await rolled_up(database) == await counted(database)
    whole = Histogram.merged(rollup.latency_histogram for rollup in rollups)
    assert whole == Histogram.of(row.latency_ms for row in raw if row.latency_ms is not None)
    slowest = max(rollups, key=lambda rollup: rollup.slowest_ms or 0)
    by_id = {row.id: row for row in raw}
    assert by_id[slowest.slowest_request_id or 0].latency_ms == max(row.latency_ms or 0 for row in raw)


async def test_one_bad_request_in_a_batch_leaves_neither_rows_nor_rollups(database: Database) -> None:
    """Law 10: log and rollups change together or not at all."""
    await add_owner(database)
    with pytest.raises(IntegrityError):
        await append_in_batches(database, [request(1), request(2, status="no such status")], 10)
    async with database.write() as session:
        assert await session.scalar(select(func.count()).select_from(Request)) == 0
        assert await session.scalar(select(func.count()).select_from(RequestRollup)) == 0


async def test_what_no_column_holds_is_refused_and_not_cut(database: Database) -> None:
    """A text with NUL, or on PostgreSQL one longer than its column, is an error and no shorter text."""
    await add_owner(database)
    await append_in_batches(database, [request(1, tier="a")], 1)
    with pytest.raises((ValueError, DBAPIError)):
        await append_in_batches(database, [request(2, tier="a\0b")], 1)
    if not database.is_sqlite:
        with pytest.raises(DBAPIError, match="too long"):
            await append_in_batches(database, [request(3, public_id="r" * 101)], 1)
    async with database.read() as session:
        assert (await session.scalars(select(Request.public_id))).all() == ["req_1"]


async def test_writers_of_the_same_buckets_at_once_lose_nothing(database: Database) -> None:
    """Two transactions that create one bucket concurrently both count."""
    await add_owner(database)

    async def write(offset: int) -> None:
        for number in range(offset, 60, 4):
            await append_in_batches(database, [request(number)], 1)

    await asyncio.gather(*(write(offset) for offset in range(4)))
    async with database.read() as session:
        for resolution in Resolution:
            statement = select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == resolution)
            assert await session.scalar(statement) == 60
    assert await rolled_up(database) == await counted(database)


@given(st.lists(st.integers(0, 10_000_000), min_size=1), st.floats(0, 1), st.integers(1, 5))
def test_a_quantile_is_within_the_stated_error_of_a_sample_however_it_was_split(
    latencies: list[int], fraction: float, parts: int
) -> None:
    """The quantile of merged histograms is within RELATIVE_ERROR of the exact lower quantile."""
    stored = [Histogram.of(latencies[part::parts]).to_bytes() for part in range(parts)]
    merged = Histogram.merged(stored)
    estimate = merged.quantile(fraction)
    exact = max(1, sorted(latencies)[int(fraction * (len(latencies) - 1))])
    assert merged.total == len(latencies)
    assert estimate is not None
    assert abs(estimate - exact) <= exact * RELATIVE_ERROR * 1.0001


def test_an_empty_histogram_has_no_quantile() -> None:
    """Without samples there is no quantile."""
    assert Histogram.merged([]).quantile(0.5) is None
    assert Histogram.merged([b"", b""]).total == 0
