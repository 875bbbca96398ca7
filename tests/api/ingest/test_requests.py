"""A request log is loaded once, whole and exactly, however often and in whatever pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from api.ingest import REQUESTS, IngestSummary, ingest_requests, load_mapping
from models import Request, RequestRollup, Resolution, User
from models.database import Database

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


async def test_identical_rows_are_all_loaded(
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
    """The first row with an id wins, within a batch and across; a row without an id gets one."""
    ids = ["req_a", "req_a", "", "req_b", "req_b"]
    rows = [f"{request_line(number)},{name}" for number, name in enumerate(ids, start=1)]
    path = write_file(f"{header},id", *rows)
    assert numbers(await load(path, rows_per_batch=4)) == (5, 3, 2, 0)
    async with database.write() as session:
        found = [tuple(row) for row in await session.execute(select(Request.latency_ms, Request.public_id))]
    named = dict(found)
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

    await ingest_requests(copied_database, path, load_mapping(REQUESTS))
    assert await contents(database) == await contents(copied_database)


async def test_progress_tells_rows_and_bytes_after_each_batch(
    write_log: WriteFile, request_line: Line, load: Load
) -> None:
    """Position grows to the size of the file; what is counted is committed."""
    path = write_log(*(request_line(number) for number in range(10)))
    told: list[tuple[int, int, int]] = []
    await load(
        path,
        progress=lambda now: told.append((now.summary.stored, now.position, now.size)),
        rows_per_batch=4,
    )
    assert [stored for stored, _, _ in told] == [4, 8, 10]
    positions = [position for _, position, _ in told]
    assert positions == sorted(set(positions))
    assert told[-1][1] == told[-1][2] == len(path.read_bytes())
