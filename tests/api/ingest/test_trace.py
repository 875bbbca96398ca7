"""A real request log of a production gateway is loaded whole, and its rollups say what the file says."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from api.ingest import RequestRecord, ingest_file, load_mapping
from models import Deployment, Request, RequestRollup, Resolution, User
from models.database import Database

STATUSES = {"SUCCEED": "success", "FAILED": "error", "PENDING": "pending", "PROCESSING": "pending"}
WINDOW_END = datetime(2024, 12, 5, 12, tzinfo=UTC)

Key = tuple[str, str, datetime]


@pytest.fixture(scope="module")
def trace(repository: Path) -> Path:
    path = repository.parent / "shared" / "data" / "gateway_trace" / "requests.csv"
    if not path.exists():
        pytest.skip(f"the public trace is not at {path}; see docs/ingest.md for where it comes from")
    return path


@pytest.fixture(scope="module")
def rows(trace: Path) -> list[dict[str, str]]:
    with trace.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def created_at(row: dict[str, str]) -> datetime:
    return datetime.strptime(row["gmt_create"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def model(row: dict[str, str]) -> str:
    return row["checkpoint_model_version_id"] or "unknown"


@pytest.mark.exhaustive
async def test_the_whole_trace_is_loaded_exactly_and_only_once(
    database: Database, trace: Path, rows: list[dict[str, str]], repository: Path,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    """What the database says after two loads equals a count made with the csv module alone."""
    example = repository / "docs" / "examples" / "gateway_trace.toml"
    mapping = await asyncio.to_thread(load_mapping, RequestRecord, example)
    first = await ingest_file(database, trace, mapping)
    record_property("rows_per_second", first.rows_per_second)
    assert (first.rows, first.added, first.rejected) == (26_823, 26_823, 0)
    again = await ingest_file(database, trace, mapping)
    assert (again.added, again.already_present) == (0, 26_823)
    assert (again.users_created, again.deployments_created) == (0, 0)

    expected = Counter(
        (STATUSES[row["predict_status"]], model(row), created_at(row).replace(minute=0, second=0))
        for row in rows
    )
    assert await by_status_model_and_hour(database, Resolution.HOUR) == expected
    assert await by_status_model_and_hour(database, Resolution.MINUTE) == expected
    assert await failures_by_model(database) == Counter(
        model(row)
        for row in rows
        if row["predict_status"] == "FAILED"
        and WINDOW_END - timedelta(hours=24) <= created_at(row) < WINDOW_END
    )
    await check_owners(database, rows)
    await check_latencies_and_tasks(database, rows)


async def check_owners(database: Database, rows: list[dict[str, str]]) -> None:
    """Every user and deployment is there, from its first request on."""
    async with database.write() as session:
        users = {user.public_id: user for user in await session.scalars(select(User))}
        deployments = {row.model: row for row in await session.scalars(select(Deployment))}
    # The file is in order of time.
    first_seen = {row["groupId"]: created_at(row) for row in reversed(rows)}
    assert {name: user.created_at for name, user in users.items()} == first_seen
    assert {user.tier for user in users.values()} == {"standard"}
    first_used = {model(row): created_at(row) for row in reversed(rows)}
    assert {name: row.created_at for name, row in deployments.items()} == first_used
    assert {row.public_id for row in deployments.values()} == {f"{name}/diffusion" for name in first_used}


async def check_latencies_and_tasks(database: Database, rows: list[dict[str, str]]) -> None:
    """No millisecond is lost, in the log and in the rollups."""
    hourly = RequestRollup.resolution == Resolution.HOUR
    async with database.write() as session:
        logged = await session.scalar(select(func.sum(Request.latency_ms)))
        timed = await session.scalar(select(func.count(Request.latency_ms)))
        rolled_up = await session.scalar(select(func.sum(RequestRollup.latency_sum_ms)).where(hourly))
        tasks = await session.execute(
            select(RequestRollup.task_type, func.sum(RequestRollup.requests))
            .where(hourly)
            .group_by(RequestRollup.task_type)
        )
        counted = {task: int(number) for task, number in tasks}
    seconds = [Decimal(row["exec_time_seconds"]) for row in rows if row["exec_time_seconds"]]
    assert logged == rolled_up == sum(seconds) * 1000
    assert timed == len(seconds)
    assert counted == Counter(row["predict_type"] for row in rows)


async def by_status_model_and_hour(database: Database, resolution: Resolution) -> Counter[Key]:
    query = (
        select(RequestRollup.status, Deployment.model, RequestRollup.bucket_start, RequestRollup.requests)
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .where(RequestRollup.resolution == resolution)
    )
    counts: Counter[Key] = Counter()
    async with database.write() as session:
        for status, name, start, requests in await session.execute(query):
            counts[status, name, start.replace(minute=0)] += requests
    return counts


async def failures_by_model(database: Database) -> dict[str, int]:
    query = (
        select(Deployment.model, func.sum(RequestRollup.requests))
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .where(
            RequestRollup.resolution == Resolution.HOUR,
            RequestRollup.status == "error",
            RequestRollup.bucket_start >= WINDOW_END - timedelta(hours=24),
            RequestRollup.bucket_start < WINDOW_END,
        )
        .group_by(Deployment.model)
    )
    async with database.write() as session:
        return {name: int(number) for name, number in await session.execute(query)}
