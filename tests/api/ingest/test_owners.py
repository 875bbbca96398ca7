"""Users and deployments come from the log, and what is known about them stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, update

from api.ingest import IngestSummary, LoadStopped, owners
from models import Deployment, RequestRollup, User
from models.database import Database

WriteFile = Callable[..., Path]
Line = Callable[..., str]
Load = Callable[..., Awaitable[IngestSummary]]


async def test_owners_exist_from_their_earliest_request_on_and_do_not_change_otherwise(
    database: Database, write_file: WriteFile, header: str, request_line: Line, load: Load
) -> None:
    """A later file with earlier rows moves `created_at` back; tier, budget and health stay."""
    later = write_file(
        f"{header},daily_budget_usd",
        request_line(100, user="eve", model="gpt") + ",2.5",
        request_line(50, user="eve", model="gpt", tier="budget") + ",9",
    )
    await load(later)
    async with database.write() as session:
        await session.execute(update(Deployment).values(status="down", region="eu"))
    earlier = write_file(
        header, request_line(7, user="eve", model="gpt", tier="standard"), name="earlier.csv"
    )
    await load(earlier)
    await load(later)
    async with database.write() as session:
        user = (await session.scalars(select(User))).one()
        deployment = (await session.scalars(select(Deployment))).one()
        tiers = set(await session.scalars(select(RequestRollup.tier)))
    start = datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)
    assert (user.created_at, user.updated_at) == (start, start)
    assert (user.tier, user.daily_budget_usd) == ("premium", Decimal("2.5"))
    assert (deployment.public_id, deployment.created_at, deployment.updated_at) == ("gpt/aws", start, None)
    assert (deployment.status, deployment.region) == ("down", "eu")
    assert tiers == {"premium", "budget", "standard"}, "a request counts under the tier of its own row"


async def test_a_constant_tier_is_for_users_who_are_new(
    database: Database, write_log: WriteFile, request_line: Line, load: Load
) -> None:
    """Where the file does not say the tier, a known user keeps counting under the tier he has."""
    created, changed = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    async with database.write() as session:
        session.add(User(public_id="user_1", tier="premium", created_at=created, updated_at=changed))
    path = write_log(request_line(1, tier="?"), request_line(2, tier="?"))
    await load(path, "tier.constant=standard")
    async with database.write() as session:
        users = {user.public_id: user for user in await session.scalars(select(User))}
        counted = set(await session.scalars(select(RequestRollup.tier)))
    assert {name: user.tier for name, user in users.items()} == {"user_1": "premium", "user_2": "standard"}
    assert counted == {"premium", "standard"}
    assert users["user_1"].created_at == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert users["user_1"].updated_at == changed, "what changed since is not claimed to have been before"


async def test_memory_for_owners_is_bounded(
    write_log: WriteFile, request_line: Line, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Owners that were forgotten are found again, not created twice."""
    monkeypatch.setattr(owners, "REMEMBERED", 2)
    path = write_log(*(request_line(number) for number in range(50)))
    summary = await load(path, rows_per_batch=5)
    assert (summary.added, summary.users_created, summary.deployments_created) == (50, 7, 3)


async def test_a_name_that_means_something_else_in_the_database_stops_the_load(
    database: Database, write_log: WriteFile, request_line: Line, load: Load
) -> None:
    """A deployment stored as `gpt-1/aws` with another model is not taken for ours."""
    async with database.write() as session:
        created = datetime(2025, 1, 1, tzinfo=UTC)
        session.add(Deployment(public_id="gpt-1/aws", model="other", backend="aws", created_at=created))
    with pytest.raises(LoadStopped, match="deployments: 'gpt-1/aws'"):
        await load(write_log(request_line(1)))
