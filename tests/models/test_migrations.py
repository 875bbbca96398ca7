"""Migrations and models agree."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, delete, inspect, select, update

from models import (
    Deployment,
    QualityRollup,
    Request,
    RequestRollup,
    RequestStatus,
    Resolution,
    RollupClock,
    User,
    UserSpend,
    quality_log,
)
from models.database import HEAD_REVISION, Database
from models.migrations import downgrade, head_revision, upgrade
from models.quality_log import NewScore
from models.request_log import NewRequest, append
from models.tables.schema import Table
from tests.support.user_failures import counted, rolled_up

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def test_autogenerate_finds_no_difference(database: Database) -> None:
    """The migrated schema is the schema of the models; on PostgreSQL the days of the log have its keys."""

    def is_compared(_: object, name: str, kind: str, *__: object) -> bool:
        return not re.match(
            r"requests_(before_)?\d{8}$" if kind == "table" else "uq_requests_public_id$", name
        )

    def differences(connection: Connection) -> list[object]:
        by_day = {} if database.is_sqlite else {"include_object": is_compared}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **by_day})
        return list(compare_metadata(context, Table.metadata))

    async with database.write_engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_every_check_of_the_models_is_in_the_database(database: Database) -> None:
    """Every CHECK of the models is in the database; autogenerate does not compare them."""

    def checks(connection: Connection) -> set[str | None]:
        inspector = inspect(connection)
        return {
            check["name"]
            for table in Table.metadata.tables
            for check in inspector.get_check_constraints(table)
        }

    declared = {
        constraint.name
        for table in Table.metadata.tables.values()
        for constraint in table.constraints
        if constraint.__visit_name__ in ("check_constraint", "table_or_column_check_constraint")
        and not getattr(constraint, "_type_bound", False)
    }
    async with database.write_engine.connect() as connection:
        assert declared
        assert declared <= await connection.run_sync(checks)


def test_the_needed_revision_is_that_of_the_newest_migration() -> None:
    """`HEAD_REVISION`, which spares every start the import of Alembic, is the head of the scripts."""
    assert head_revision() == HEAD_REVISION


async def test_upgrading_twice_changes_nothing(database: Database) -> None:
    """`arcpoint db upgrade` is idempotent."""
    await upgrade(database)
    assert await database.revision() == head_revision()


async def test_scores_of_an_older_database_are_rolled_up(database: Database) -> None:
    """Scores from before the rollups existed are rolled up by the upgrade."""
    async with database.write() as session:
        session.add(Deployment(public_id="m/b", model="m", backend="b", created_at=NOON))
        session.add(User(public_id="u", tier="premium", created_at=NOON, updated_at=NOON + 20 * MINUTE))
        await session.flush()
        rows = [
            NewRequest(public_id=f"r{n}", created_at=NOON + n * MINUTE, user_id=1, deployment_id=1,
                       tier="premium", status="success", task_type="chat" if n % 2 else None)
            for n in range(90)
        ]  # fmt: skip
        ids = await append(session, rows)
        scores = [
            NewScore(request_id=ids[row.public_id], score=0.01 * n, scorer="s",
                     scored_at=row.created_at + n * 5 * MINUTE)
            for n, row in enumerate(rows)
        ]  # fmt: skip
        assert await quality_log.append(session, scores) == 90
    written = await _quality_rollups(database)
    assert len(written) > 10
    await downgrade(database, "0001")
    await upgrade(database)
    assert await _quality_rollups(database) == written


async def _quality_rollups(database: Database) -> list[tuple[object, ...]]:
    columns = [column for column in QualityRollup.__table__.columns if column.name not in ("id", "stamp")]
    async with database.read() as session:
        return sorted(tuple(row) for row in await session.execute(select(*columns)))


async def test_ten_minutes_of_an_older_database_are_made_of_its_minutes(database: Database) -> None:
    """The upgrade leaves the rollups of ten minutes that the writers would have written, and no other."""
    async with database.write() as session:
        session.add(Deployment(public_id="m/b", model="m", backend="b", created_at=NOON))
        session.add(User(public_id="u", tier="premium", created_at=NOON, updated_at=NOON))
        await session.flush()
        rows = [
            NewRequest(public_id=f"r{n}", created_at=NOON + 7 * n * n * MINUTE, user_id=1, deployment_id=1,
                       tier="premium", status="success", task_type="chat" if n % 2 else None,
                       latency_ms=None if n % 5 == 0 else n * 37, cost_usd=Decimal(n) / 1000)
            for n in range(60)
        ] + [
            NewRequest(public_id=f"s{n}", created_at=NOON + n * MINUTE, user_id=1, deployment_id=1,
                       tier="premium", status="success", latency_ms=5000 + n, prompt_tokens=n)
            for n in range(60)
        ]  # fmt: skip
        await append(session, rows)
    written = await _rollups(database)
    assert sum(row[0] == Resolution.TEN_MINUTES for row in written) > 60
    await downgrade(database, "0003")
    await upgrade(database)
    assert await _rollups(database) == written


async def test_failures_of_users_of_an_older_database_are_counted(database: Database) -> None:
    """The upgrade counts what the writers would have; where requests were deleted, those that are left."""
    chance = random.Random(5)  # noqa: S311  test data
    async with database.write() as session:
        session.add(Deployment(public_id="m/b", model="m", backend="b", created_at=NOON))
        session.add_all(
            User(public_id=name, tier="premium", created_at=NOON, updated_at=NOON) for name in ("a", "b", "c")
        )
        await session.flush()
        rows = [
            NewRequest(public_id=f"r{n}", created_at=NOON + timedelta(seconds=chance.choice(_MOMENTS)),
                       user_id=chance.choice((1, 2)), deployment_id=1, tier="premium",
                       status=chance.choice(list(RequestStatus)))
            for n in range(400)
        ] + [
            NewRequest(public_id="fine", created_at=NOON, user_id=3, deployment_id=1, tier="premium",
                       status="success")
        ]  # fmt: skip
        await append(session, rows)
    written = await rolled_up(database)
    await downgrade(database, "0004")
    await upgrade(database)
    assert await rolled_up(database) == written == await counted(database)
    await downgrade(database, "0004")
    async with database.write() as session:
        await session.execute(update(RequestRollup).values(slowest_request_id=None))
        await session.execute(delete(Request).where(Request.user_id == 1))
        await session.execute(delete(Request).where(Request.id % 2 == 0))
    await upgrade(database)
    left = await counted(database)
    assert await rolled_up(database) == {
        bucket: (requests, left.get(bucket, (0, 0))[1]) for bucket, (requests, _) in written.items()
    }


async def test_an_interrupted_upgrade_continues(database: Database) -> None:
    """Days that are packed stay packed, and in the end all is as without an interruption."""
    async with database.write() as session:
        session.add(Deployment(public_id="m/b", model="m", backend="b", created_at=NOON))
        session.add(User(public_id="u", tier="premium", created_at=NOON, updated_at=NOON))
        await session.flush()
        rows = [
            NewRequest(public_id=f"r{n}", created_at=NOON + 7 * n * n * MINUTE, user_id=1, deployment_id=1,
                       tier="premium", status="success" if n % 3 else "error", cost_usd=Decimal(n) / 1000)
            for n in range(30)
        ]  # fmt: skip
        await append(session, rows)
    written = await _rollups(database)
    days = {row.created_at.date() for row in rows}
    assert len(days) > 2
    await downgrade(database, "0012")
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        raise KeyError("interrupted")

    with pytest.raises(KeyError):
        await upgrade(database, stop)
    assert await database.revision() == "0012"
    await upgrade(database, lambda done, total: seen.append((done, total)))
    packed = [(1, len(days)), *((done, len(days) - 1) for done in range(1, len(days)))]
    assert seen[: len(packed)] == packed
    assert await _rollups(database) == written


_MOMENTS = (
    0,
    0.000001,
    59.999999,
    60,
    599.999999,
    600,
    3599.999999,
    3600,
    -0.000001,
    12 * 3600,
    41 * 86400 + 7,
)
"""Seconds on both sides of the edges of buckets."""


async def test_rollups_are_stamped_after_a_downgrade(database: Database) -> None:
    """Dropping the column leaves the triggers: a change of a bucket is stamped, and a removal counted."""
    async with database.write() as session:
        session.add(User(public_id="u", tier="premium", created_at=NOON, updated_at=NOON))
        await session.flush()
        session.add(
            UserSpend(
                resolution=Resolution.HOUR, bucket_start=NOON, user_id=1, requests=1, cost_usd=Decimal(0)
            )
        )
    await downgrade(database, "0004")
    stamps = select(UserSpend.stamp), select(RollupClock.removals)
    async with database.write() as session:
        before = [await session.scalar(one) for one in stamps]
        await session.execute(update(UserSpend).values(requests=2))
    async with database.write() as session:
        changed = await session.scalar(stamps[0])
        await session.execute(delete(UserSpend))
        removals = await session.scalar(stamps[1])
    assert (changed or 0) > (before[0] or 0)
    assert (removals or 0) > (before[1] or 0)


async def _rollups(database: Database) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    async with database.read() as session:
        for table in (RequestRollup, UserSpend):
            columns = [column for column in table.__table__.columns if column.name not in ("id", "stamp")]
            found += sorted((tuple(row) for row in await session.execute(select(*columns))), key=repr)
    return found
