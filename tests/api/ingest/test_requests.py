"""A request log is loaded once, whole and exactly, with the users and deployments that it names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from api.ingest import IngestSummary, LoadStopped, RequestRecord, ingest_file, load_mapping
from models import Deployment, Request, RequestRollup, Resolution, User
from models.database import Database

pytestmark = pytest.mark.both_databases  # conflicts and locks differ

WriteFile = Callable[..., Path]
Line = Callable[..., str]
Load = Callable[..., Awaitable[IngestSummary]]
Contents = Callable[[Database], Awaitable[dict[str, list[tuple[Any, ...]]]]]


def numbers(summary: IngestSummary) -> tuple[int, int, int, int]:
    return summary.rows, summary.added, summary.already_present, summary.rejected


async def test_a_file_is_loaded_once_whatever_the_batch_and_however_often(
    database: Database, write_log: WriteFile, request_line: Line, load: Load, contents: Contents
) -> None:
    """Loading again, in other batches, or an overlapping file, adds only what is new."""
    lines = [request_line(number) for number in range(70)]
    path = write_log(*lines[:60])
    first = await load(path, rows_per_batch=7)
    assert numbers(first) == (60, 60, 0, 0)
    assert (first.users_created, first.deployments_created) == (7, 3)
    before = await contents(database)
    again = await load(path)
    assert numbers(again) == (60, 0, 60, 0)
    assert (again.users_created, again.deployments_created) == (0, 0)
    assert await contents(database) == before

    assert numbers(await load(write_log(*lines[40:]))) == (30, 10, 20, 0)
    async with database.write() as session:
        hourly = select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == Resolution.HOUR)
        assert await session.scalar(hourly) == 70
        assert await session.scalar(hourly.where(RequestRollup.status == "error")) == 14


async def test_equal_rows_are_all_loaded(
    write_log: WriteFile, write_file: WriteFile, header: str, request_line: Line, load: Load
) -> None:
    """Two equal lines are two requests, also when columns move and the file becomes JSON Lines."""
    line = request_line(1)
    assert numbers(await load(write_log(line, request_line(2), line, line), rows_per_batch=2)) == (4, 4, 0, 0)
    values = dict(reversed(list(zip(header.split(","), line.split(","), strict=True)))) | {"note": None}
    moved = write_file(*[json.dumps(values)] * 4, name="log.jsonl")
    assert numbers(await load(moved)) == (4, 1, 3, 0)


async def test_an_id_column_names_the_request(
    database: Database, write_file: WriteFile, header: str, request_line: Line, load: Load
) -> None:
    """The first row with an id counts, within a batch and across; a row without an id gets one."""
    ids = ["req_a", "req_a", "", "req_b", "req_b"]
    rows = [f"{request_line(number)},{name}" for number, name in enumerate(ids, start=1)]
    path = write_file(f"{header},id", *rows)
    assert numbers(await load(path, rows_per_batch=4)) == (5, 3, 2, 0)
    async with database.write() as session:
        found = await session.execute(select(Request.latency_ms, Request.public_id))
        named = {row.latency_ms: row.public_id for row in found}
    assert (named[1], named[4]) == ("req_a", "req_b")
    assert len(named[3]) == len("req_") + 32


async def test_hostile_text_is_stored_as_it_is(database: Database, write_file: WriteFile, load: Load) -> None:
    """Formulas, markup, SQL, bidirectional marks and emoji are data."""
    hostile = [
        "=cmd|'/c calc'!A0", "'; DROP TABLE requests; --", "[bold]x[/bold]", "\u202egpj.exe", "\ufdfa" * 90,
        "\U0001f469\u200d\U0001f467", "{{7*7}}", "%s%n", "\\x00", "a\nb",
    ]  # fmt: skip
    objects = [
        {
            "created_at": "2026-01-01T00:00:00Z", "user": text, "tier": "budget", "status": "error",
            "model": text, "backend": text.replace("/", "|"), "error_code": text, "cost_usd": 0.1,
            "routing_reason": {"rule": text, "score": 0.25},
        }
        for text in hostile
    ]  # fmt: skip
    summary = await load(write_file(*map(json.dumps, objects), name="log.jsonl"))
    assert numbers(summary) == (10, 10, 0, 0), summary.reasons
    async with database.write() as session:
        stored = (await session.scalars(select(Request).order_by(Request.id))).all()
        users = set(await session.scalars(select(User.public_id)))
    assert users == set(hostile)
    assert {row.error_code for row in stored} == set(hostile)
    assert all(row.routing_reason == {"rule": row.error_code, "score": 0.25} for row in stored)
    assert {row.cost_usd for row in stored} == {Decimal("0.1")}


async def test_several_loads_at_once_store_what_one_would(
    database: Database, write_log: WriteFile, request_line: Line, load: Load, contents: Contents,
    copied_database: Database,
) -> None:  # fmt: skip
    """Two loads of one file and one of its rows in reverse: no duplicate, no crash, true rollups."""
    lines = [request_line(number % 300) for number in range(400)]
    path, backwards = write_log(*lines), write_log(*reversed(lines), name="back.csv")
    loads = (load(file, rows_per_batch=30) for file in (path, path, backwards))
    summaries = await asyncio.gather(*loads)
    assert sum(summary.added for summary in summaries) == 400
    assert sum(summary.users_created for summary in summaries) == 7
    assert sum(summary.deployments_created for summary in summaries) == 3

    await ingest_file(copied_database, path, load_mapping(RequestRecord))
    assert await contents(database) == await contents(copied_database)


async def test_progress_reports_rows_and_bytes_after_each_batch(
    write_log: WriteFile, request_line: Line, load: Load
) -> None:
    """Position grows to the size of the file; what is counted is committed."""
    path = write_log(*(request_line(number) for number in range(10)))
    seen: list[tuple[int, int, int]] = []
    await load(
        path,
        progress=lambda now: seen.append((now.summary.stored, now.position, now.size)),
        rows_per_batch=4,
    )
    assert [stored for stored, _, _ in seen] == [4, 8, 10]
    positions = [position for _, position, _ in seen]
    assert positions == sorted(set(positions))
    assert seen[-1][1] == seen[-1][2] == len(path.read_bytes())


async def test_users_and_deployments_exist_from_their_earliest_request_on_and_do_not_change_otherwise(
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


async def test_a_constant_tier_is_for_new_users(
    database: Database, write_log: WriteFile, request_line: Line, load: Load
) -> None:
    """Where the file does not say the tier, a known user's requests count under the tier he has."""
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
    assert users["user_1"].updated_at == changed, "a changed tier is not claimed for earlier"


async def test_a_name_that_means_something_else_in_the_database_stops_the_load(
    database: Database, write_log: WriteFile, request_line: Line, load: Load
) -> None:
    """A deployment stored as `gpt-1/aws` with another model is not taken for ours."""
    async with database.write() as session:
        created = datetime(2025, 1, 1, tzinfo=UTC)
        session.add(Deployment(public_id="gpt-1/aws", model="other", backend="aws", created_at=created))
    with pytest.raises(LoadStopped, match="deployments: 'gpt-1/aws'"):
        await load(write_log(request_line(1)))
