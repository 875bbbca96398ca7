"""A busy gateway's week: so many requests that reading them one by one would show."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from models import Deployment, User
from models.database import Database
from models.request_log import NewRequest, append

WEEK = timedelta(days=7)
_BATCH = 5_000
_DEPLOYMENTS = 12
_USERS = 200
_SLOW_FROM = timedelta(hours=9)
"""How long before the end one deployment became slow, so that there is something to find."""


async def fill(database: Database, requests: int, end: datetime) -> None:
    """Writes a week of requests that ends at `end`, with the same random numbers every time."""
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
    rows = _requests(requests, end, [row.id for row in deployments], [(row.id, row.tier) for row in users])
    for start in range(0, requests, _BATCH):
        async with database.write() as session:
            await append(session, [next(rows) for _ in range(min(_BATCH, requests - start))])
        if start % (_BATCH * 20) == 0:
            print(f"  {start:,} of {requests:,} requests written", file=sys.stderr)  # noqa: T201  progress


def _requests(
    number: int, end: datetime, deployments: list[int], users: list[tuple[int, str]]
) -> Iterator[NewRequest]:
    chance = random.Random(5)  # noqa: S311  a benchmark
    step = WEEK / number
    for n in range(number):
        moment = end - WEEK + n * step
        user_id, tier = users[chance.randrange(len(users))]
        deployment = deployments[chance.randrange(len(deployments))]
        slow = 3.0 if deployment == deployments[0] and moment >= end - _SLOW_FROM else 1.0
        failed = chance.random() < 0.01  # noqa: PLR2004  an ordinary failure rate
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
