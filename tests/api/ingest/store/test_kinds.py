"""Every kind of record is stored once, however often it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from api.ingest import RECORD_TYPES, IngestSummary
from api.ingest.records import JobRecord, Record, parse_record
from api.ingest.store import Outcome, store_records
from models import Job, Notification, UserAction
from models.database import Database
from models.tables.schema import Table
from tests.support.kinds_of_records import AT, EXAMPLES, LATER

pytestmark = pytest.mark.both_databases  # conflicts and locks differ

Load = Callable[..., Awaitable[IngestSummary]]


def example(kind: str, **changes: object) -> Record:
    return parse_record(RECORD_TYPES[kind], EXAMPLES[kind] | changes)


async def rows(database: Database) -> dict[str, int]:
    """How many rows each table holds."""
    async with database.write() as session:
        return {
            name: await session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Table.metadata.tables.items()
        }


async def test_a_file_of_any_kind_is_loaded_once(
    database: Database, write_file: Callable[..., Path], load: Load
) -> None:
    """The second load of each file changes no table; what a record names is linked."""
    assert list(EXAMPLES) == list(RECORD_TYPES)
    files = {kind: write_file(json.dumps(values), name=f"{kind}.jsonl") for kind, values in EXAMPLES.items()}
    for kind, path in files.items():
        summary = await load(path, record_type=RECORD_TYPES[kind])
        assert summary.stored == 1, (kind, summary.reasons)
    before = await rows(database)
    for kind, path in files.items():
        summary = await load(path, record_type=RECORD_TYPES[kind])
        assert (summary.added, summary.updated, summary.already_present) == (0, 0, 1), kind
    assert await rows(database) == before
    async with database.write() as session:
        assert (await session.scalars(select(Notification.incident_id))).one() is not None
        assert (await session.scalars(select(UserAction.user_id))).one() is not None
        assert (await session.scalars(select(Job.deployment_id))).one() is not None


async def test_several_writers_store_what_one_would(database: Database) -> None:
    """The same errors from four writers at once are stored once."""
    records = [example("errors", message=f"line {number}") for number in range(20)]
    batches = [records, records[::-1], records[5:], records[:15]]
    results = await asyncio.gather(
        *(store_records(database, RECORD_TYPES["errors"], each) for each in batches)
    )
    assert sum(each.added for each in results) == 20
    assert (await rows(database))["error_logs"] == 20


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 2)])
async def test_a_job_only_moves_forward(database: Database, order: tuple[int, ...]) -> None:
    """Reports in any order, in one batch or several, end where the last one in time would."""
    states = [
        {"status": "queued"},
        {"status": "running", "started_at": AT},
        {"status": "failed", "finished_at": LATER, "error": "image not found"},
    ]
    jobs = [example("jobs", **states[index]) for index in order]
    await store_records(database, JobRecord, jobs[:2])
    await store_records(database, JobRecord, jobs[2:])
    async with database.write() as session:
        job = (await session.scalars(select(Job))).one()
    assert (job.status, job.error, job.finished_at is None) == ("failed", "image not found", False)


async def test_a_score_needs_its_request(database: Database) -> None:
    """A score of an unknown request, or from before it, is refused by name, and the rest is stored."""
    await store_records(database, RECORD_TYPES["requests"], [example("requests")])
    scores = [
        example("quality", request="req_2"),
        example("quality", scored_at="2026-11-20T08:00:00Z"),
        example("quality"),
        example("quality", score=0.5),
    ]
    result = await store_records(database, RECORD_TYPES["quality"], scores)
    assert [str(problem).partition(": ")[0] for problem in result.contradictions.values()] == [
        "request",
        "scored_at",
    ]
    assert result.outcomes[2:] == [Outcome.ADDED, Outcome.PRESENT]


async def test_an_action_needs_its_user(database: Database) -> None:
    """An action of an unknown user is refused by name, and the rest is stored."""
    await store_records(database, RECORD_TYPES["users"], [example("users")])
    actions = [example("activity", user="nobody"), example("activity"), example("activity", user="no one")]
    result = await store_records(database, RECORD_TYPES["activity"], actions)
    assert {index: problem.field for index, problem in result.contradictions.items()} == {
        0: "user",
        2: "user",
    }
    assert result.added == 1


async def test_an_id_that_begins_again_each_day_is_stored_on_each(database: Database) -> None:
    """Where an id is one of a day, also if both days come in one post; SQLite's log has it once."""
    evening, midnight = "2026-11-20T23:59:59.999999Z", "2026-11-21T00:00:00Z"
    batch = [example("requests", id="1", created_at=at) for at in (evening, midnight, evening, midnight)]
    result = await store_records(database, RECORD_TYPES["requests"], batch)
    second = Outcome.PRESENT if database.is_sqlite else Outcome.ADDED
    assert result.outcomes == [Outcome.ADDED, second, Outcome.PRESENT, Outcome.PRESENT]
    assert (await rows(database))["requests"] == result.added
    again = await store_records(database, RECORD_TYPES["requests"], batch)
    assert again.added == 0
