"""A busy gateway's week: so many requests that reading them one by one would show."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

from models import Deployment, User
from models.database import Database, WriteSession
from models.request_log import NewRequest, bucket_start
from models.request_log.bulk import bulk_of
from models.request_log.rollups import ROLLUPS, rollups_of
from models.request_log.rows import LOG, row_of
from models.request_log.spend import SPEND, spend_of
from models.tables.gateway.rollups import Resolution

WEEK = timedelta(days=7)
_DEPLOYMENTS = 12
_USERS = 200
_SLOW_FROM = timedelta(hours=9)
"""How long before the end one deployment became slow, so that there is something to find."""


async def fill(database: Database, requests: int, end: datetime, span: timedelta = WEEK) -> None:
    """Writes an evenly filled span of requests that ends at `end`, with the same random numbers every time.

    Hour by hour, so that each bucket is complete when it is computed and written once: the same rows as from
    `models.request_log.append`, which would look for each bucket first. The log must be empty.
    """
    deployments, users = await _gateway(database, end)
    written = 0
    rows = new_requests(requests, end, span, deployments, users)
    for hour, members in groupby(rows, key=lambda row: bucket_start(row.created_at, Resolution.HOUR)):
        new = [(written + n, row) for n, row in enumerate(members, start=1)]
        async with database.write() as session:
            await _write_hour(session, new)
        written += len(new)
        if hour.hour % 12 == 0:
            print(f"  {written:,} of {requests:,} requests written", file=sys.stderr)  # noqa: T201  progress


async def _gateway(database: Database, end: datetime) -> tuple[list[int], list[tuple[int, str]]]:
    """Writes deployments and users; gives the ids of the former, ids and tiers of the latter."""
    created = end - timedelta(days=30)
    deployments = [
        Deployment(public_id=f"m{n % 4}/b{n // 4}", model=f"m{n % 4}", backend=f"b{n // 4}", status="healthy",
                   created_at=created, updated_at=end)
        for n in range(_DEPLOYMENTS)
    ]  # fmt: skip
    tiers = ("premium", "standard", "budget")
    users = [
        User(public_id=f"user_{n}", tier=tiers[n % 3], daily_budget_usd=Decimal(50), created_at=created,
             updated_at=created)
        for n in range(_USERS)
    ]  # fmt: skip
    async with database.write() as session:
        session.add_all([*deployments, *users])
        await session.flush()
        return [row.id for row in deployments], [(row.id, row.tier) for row in users]


def new_requests(
    number: int, end: datetime, span: timedelta, deployments: Sequence[int], users: Sequence[tuple[int, str]]
) -> Iterator[NewRequest]:
    """The requests in the order of time; users are pairs of id and tier."""
    chance = random.Random(5)  # noqa: S311  a benchmark
    step = span / number
    for n in range(number):
        moment = end - span + n * step
        user_id, tier = users[chance.randrange(len(users))]
        deployment = deployments[chance.randrange(len(deployments))]
        slow = 3.0 if deployment == deployments[0] and moment >= end - _SLOW_FROM else 1.0
        failed = chance.random() < 0.01  # an ordinary failure rate
        yield NewRequest(
            public_id=f"req_{n:09}",
            created_at=moment,
            user_id=user_id,
            deployment_id=deployment,
            tier=tier,
            status="error" if failed else "success",
            error_code="502" if failed else None,
            latency_ms=round(chance.lognormvariate(7, 0.5) * slow),
            cost_usd=Decimal(chance.randrange(1, 5_000_000)).scaleb(-9),
            prompt_tokens=400,
            completion_tokens=150,
            task_type=("chat", "code", "extraction")[n % 3],
            router_version="v2.4.0",
            endpoint="/v1/messages",
        )


async def _write_hour(session: WriteSession, new: Sequence[tuple[int, NewRequest]]) -> None:
    bulk = bulk_of(session)
    rows = [row_of(row) for _, row in new]
    assert [*(await bulk.insert_new(LOG, rows)).values()] == [number for number, _ in new]
    for table, buckets in ((ROLLUPS, rollups_of(new)), (SPEND, spend_of(new))):
        await bulk.insert_new(table, [(*key, *buckets[key]) for key in sorted(buckets)])
