"""Days that are removed are gone as a whole, and nothing of any other day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from models import QualityScore, Request, RequestRollup
from models.database import Database
from models.errors import DatabaseError
from models.request_log import append, retention
from models.request_log.cold import ColdFiles, log_rows
from models.request_log.cold.moving import alone, move_days
from models.request_log.retention import drop_days
from tests.models.test_partitions import asked
from tests.support.prepared_databases import STORY_ANCHOR

BEFORE = STORY_ANCHOR - timedelta(days=4)
MIDNIGHT = BEFORE.replace(hour=0, minute=0)
EVERY = select(Request.id, Request.created_at, Request.public_id)


@pytest.fixture
async def log(story_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The demo story, with a place for cold days."""
    database = Database(story_url, cold_files=ColdFiles(str(tmp_path / "cold")))
    yield database
    await database.close()


async def rows(database: Database) -> list[tuple[int, datetime, str]]:
    async with database.read() as session:
        return [(row[0], row[1], row[2]) for row in await log_rows(session, EVERY)]


async def sums(database: Database) -> tuple[int | None, int | None]:
    async with database.read() as session:
        counted = await session.scalar(select(func.sum(RequestRollup.requests)))
        return counted, await session.scalar(select(func.count()).select_from(QualityScore))


@pytest.mark.both_databases
@pytest.mark.parametrize("are_cold", [False, True])
async def test_old_days_are_removed_and_newer_ones_stay(
    log: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, are_cold: bool
) -> None:
    """From the database and from files alike; rollups and scores are as they were."""
    monkeypatch.setattr(retention, "_ROWS_AT_ONCE", 100)
    if are_cold:
        pytest.importorskip("duckdb", reason="cold days need the extra `archive`")
        await move_days(log, before=BEFORE + timedelta(days=1))
    before, summed, seen = await rows(log), await sums(log), []
    days = await drop_days(log, before=BEFORE, progress=lambda *step: seen.append(step))
    assert days[-1] == MIDNIGHT - timedelta(days=1)
    assert seen == [(n + 1, len(days)) for n in range(len(days))]
    kept = [row for row in before if row[1] >= MIDNIGHT]
    assert 0 < len(kept) < len(before)
    assert await rows(log) == kept
    assert await sums(log) == summed
    assert len(list((tmp_path / "cold").glob("*.parquet"))) == are_cold
    assert await drop_days(log, before=BEFORE) == []


async def test_ids_of_removed_requests_are_not_given_again(log: Database) -> None:
    """Scores and examples name requests by id, also where nothing newer is there."""
    last = (await rows(log))[0][0]
    await drop_days(log, before=STORY_ANCHOR + timedelta(days=2))
    async with log.write() as session:
        new = await append(session, [asked("new", STORY_ANCHOR + timedelta(days=2))])
    assert new["new"] > last


@pytest.mark.both_databases
async def test_days_are_not_removed_while_others_are_moved(log: Database) -> None:
    """One process does either at a time; the second is refused at once."""
    async with alone(log):
        with pytest.raises(DatabaseError, match="another process is moving or removing days"):
            await drop_days(log, before=BEFORE)
