"""Writing the story: the same for the same arguments, whole or not at all, never over other data."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, select

from api.demo_data import DemoDataError, seed
from api.demo_data.generator import TABLES, generate
from api.ingest import RECORD_TYPES
from models import (
    Deployment,
    ErrorLog,
    Incident,
    Job,
    MaintenanceWindow,
    Request,
    RequestRollup,
    Resolution,
    User,
)
from models.database import Database
from models.errors import DatabaseNotMigrated
from models.request_log import NewRequest, append
from models.tables.schema import Table as Mapped
from tests.support.command_line import program
from tests.support.patience import PATIENCE_S
from tests.support.prepared_databases import STORY_ANCHOR as ANCHOR
from tests.support.prepared_databases import STORY_SEED as SEED

EXIT_CODE = 9
KILLED_HALF_WAY = """
import asyncio, os, sys
from datetime import datetime
from api.demo_data import seed
from models.database import Database

def die(done, total):
    if done > total / 2:
        os._exit(9)

asyncio.run(seed(Database(sys.argv[1]), seed=7, anchor=datetime.fromisoformat(sys.argv[2]), progress=die))
"""


async def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, with the public id of what they refer to in place of database ids."""
    tables = Mapped.metadata.tables
    async with database.write() as session:
        names: dict[str, dict[int | None, str]] = {}
        for name in ("deployments", "users", "incidents", "requests"):
            rows = await session.execute(select(tables[name].c.id, tables[name].c.public_id))
            names[name] = dict(rows.all())
        found = {}
        for name, table in tables.items():
            rows = await session.execute(select(table))
            found[name] = sorted((_without_ids(table, row, names) for row in rows.mappings()), key=repr)
    # The triggers' rows say when they were written, and by which database ids.
    found["memory_outbox"] = [(None,) for _ in found["memory_outbox"]]
    # How many changes there have been: by transactions on one database, by statements on the other.
    del found["rollup_clock"]
    return found


def _without_ids(table: Table, row: Any, names: dict[str, dict[int | None, str]]) -> tuple[Any, ...]:
    values = []
    for column in table.columns:
        value = row[column]
        for key in column.foreign_keys:
            value = names[key.column.table.name].get(value)
        values.append(None if column.primary_key or column.name == "stamp" else value)
    return tuple(values)


async def count(database: Database, table: type[Mapped]) -> int:
    async with database.write() as session:
        return (await session.execute(select(func.count()).select_from(table))).scalar_one()


@pytest.mark.long
def test_the_same_seed_and_minute_give_the_same_story() -> None:
    """The seconds of the anchor and the time zone that it is given in change nothing."""
    elsewhere = ANCHOR.astimezone(timezone(timedelta(hours=-5))) + timedelta(seconds=59, microseconds=7)
    assert generate(SEED, ANCHOR) == generate(SEED, elsewhere)


async def test_both_kinds_of_database_hold_the_same_rows(
    sqlite_story_url: str, postgres_story_url: str
) -> None:
    """Every row follows from seed and anchor alone, whatever database it was written to."""
    sqlite, postgresql = Database(sqlite_story_url), Database(postgres_story_url)
    rows = await contents(sqlite)
    assert rows == await contents(postgresql)
    assert len(rows["requests"]) > 5_000
    await sqlite.close()
    await postgresql.close()


@pytest.mark.long
def test_another_seed_is_another_week() -> None:
    """The seed decides every request and score; incidents stay. A negative seed is a seed of its own."""
    one, other = generate(SEED, ANCHOR), generate(-SEED, ANCHOR)
    assert not {sent.public_id for sent in one.requests} & {sent.public_id for sent in other.requests}
    assert one.records["quality"] != other.records["quality"]
    assert one.records["incidents"] == other.records["incidents"]


async def test_seeding_twice_adds_nothing(story: Database) -> None:
    """The second run finds the story, says so, reports its size and changes no row."""
    before = await contents(story)
    summary = await seed(
        story,
        seed=SEED,
        anchor=ANCHOR + timedelta(seconds=30),
        progress=lambda *_: pytest.fail("nothing is left to do"),
    )
    assert not summary.written
    assert await contents(story) == before
    sizes = {kind: len(before[table.__tablename__]) for kind, table in TABLES.items()}
    assert sizes == summary.counts
    assert set(sizes) == RECORD_TYPES.keys() - {"alerts"}, "of which incidents would be derived"
    assert min(sizes.values()) > 0


async def test_of_two_seeders_at_once_one_writes_and_one_finds(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that start together leave one dataset, however long the first one writes."""
    monkeypatch.setattr("models.sqlite_file.BUSY_TIMEOUT_S", PATIENCE_S)
    databases = [Database(database_url), Database(database_url)]
    told = await asyncio.gather(*(seed(database, seed=SEED, anchor=ANCHOR) for database in databases))
    assert sorted(summary.written for summary in told) == [False, True]
    assert await count(databases[0], Request) == told[0].counts["requests"]
    for database in databases:
        await database.close()


@pytest.mark.process
async def test_a_seeding_that_was_killed_half_way_is_done_by_running_again(
    database: Database, repository: Path
) -> None:
    """A process that dies between two batches leaves an empty database, which then takes the story whole."""
    process = await asyncio.create_subprocess_exec(
        *program(KILLED_HALF_WAY),
        database.url.render_as_string(hide_password=False),
        ANCHOR.isoformat(),
        cwd=repository,
    )
    assert await process.wait() == EXIT_CODE
    assert not any((await contents(database)).values())
    seen: list[tuple[int, int]] = []
    summary = await seed(
        database, seed=SEED, anchor=ANCHOR, progress=lambda done, total: seen.append((done, total))
    )
    assert summary.written
    assert seen == sorted(set(seen))
    total, requests = sum(summary.counts.values()), summary.counts["requests"]
    assert seen[-1] == (total, total)
    assert await count(database, Request) == requests
    async with database.write() as session:
        rolled = await session.scalar(select(func.sum(RequestRollup.requests)))
    assert rolled == len(Resolution) * requests


@pytest.mark.parametrize(
    "foreign",
    [
        lambda: Deployment(public_id="gpt-4/aws", model="gpt-4", backend="aws", created_at=ANCHOR),
        lambda: User(public_id="user_acme", tier="budget", created_at=ANCHOR, updated_at=ANCHOR),
        lambda: Incident(public_id="inc_1", title="t", severity="low", status="active", started_at=ANCHOR),
        lambda: ErrorLog(logged_at=ANCHOR, severity="warning", target="router", message="disk 80 % full"),
        lambda: MaintenanceWindow(
            backend="gcp",
            starts_at=ANCHOR,
            ends_at=ANCHOR + timedelta(hours=1),
            announced_at=ANCHOR,
            reason="r",
        ),
    ],
    ids=["deployment", "user", "incident", "error log", "maintenance window"],
)
async def test_a_database_that_holds_other_data_is_refused(database: Database, foreign: Any) -> None:
    """One row that is not of the story, even of a name in it, and nothing is written."""
    async with database.write() as session:
        session.add(foreign())
    before = await contents(database)
    with pytest.raises(DemoDataError, match=r"the database already holds data; use an empty one \(found 1 "):
        await seed(database, seed=SEED, anchor=ANCHOR)
    assert await contents(database) == before


async def test_a_story_that_is_not_this_one_is_refused(story: Database) -> None:
    """Another seed, another anchor, and this story with one request of somebody else's are other data.

    So is one with a job of another name, of which there are as many.
    """
    refused = "the database already holds data; use an empty one"
    with pytest.raises(DemoDataError, match=refused):
        await seed(story, seed=SEED + 1, anchor=ANCHOR)
    with pytest.raises(DemoDataError, match=refused):
        await seed(story, seed=SEED, anchor=ANCHOR + timedelta(minutes=1))
    async with story.write() as session:
        job = (await session.scalars(select(Job).limit(1))).one()
        name, job.public_id = job.public_id, "job_of_somebody_else"
    before = await contents(story)
    with pytest.raises(DemoDataError, match=refused):
        await seed(story, seed=SEED, anchor=ANCHOR)
    assert await contents(story) == before
    async with story.write() as session:
        (await session.get_one(Job, job.id)).public_id = name
        request = (await session.scalars(select(Request).limit(1))).one()
        await append(
            session,
            [
                NewRequest(
                    public_id="req_of_somebody_else",
                    created_at=ANCHOR,
                    user_id=request.user_id,
                    deployment_id=request.deployment_id,
                    tier="budget",
                    status="success",
                    cost_usd=Decimal(1),
                )
            ],
        )
    before = await contents(story)
    with pytest.raises(DemoDataError, match=refused):
        await seed(story, seed=SEED, anchor=ANCHOR)
    assert await contents(story) == before


@pytest.mark.parametrize(
    ("anchor", "complaint"),
    [
        (datetime(2026, 3, 10), "no time zone"),  # noqa: DTZ001  a naive time is the case
        (datetime.min.replace(tzinfo=UTC), "years 2002 to 2098"),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))), "years 2002 to 2098"),
    ],
)
async def test_an_anchor_that_cannot_be_used_is_refused(
    sqlite_url: str, anchor: datetime, complaint: str
) -> None:
    """Law 10: one sentence that says what is wrong, and no row."""
    database = Database(sqlite_url)
    with pytest.raises(DemoDataError, match=complaint):
        await seed(database, seed=SEED, anchor=anchor)
    assert await count(database, Deployment) == 0
    await database.close()


@pytest.mark.long
async def test_a_database_without_the_schema_is_not_touched(tmp_path: Path) -> None:
    """What is missing is named, and no file appears."""
    path = tmp_path / "absent.db"
    database = Database(f"sqlite:///{path}")
    with pytest.raises(DatabaseNotMigrated, match="arcpoint db upgrade"):
        await seed(database, seed=SEED, anchor=ANCHOR)
    assert not await asyncio.to_thread(path.exists)
    await database.close()
