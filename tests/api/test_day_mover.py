"""A service moves and removes old days by itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from api.day_mover import day_mover
from models import ColdDay, Request
from models.database import Database
from models.request_log.cold import ColdFiles
from tests.support.http_service import settings_of
from tests.support.patience import PATIENCE_S
from tests.support.prepared_databases import STORY_ANCHOR

pytest.importorskip("duckdb", reason="cold days need the extra `archive`")


async def test_old_days_are_moved_and_older_ones_removed(story_url: str, tmp_path: Path) -> None:
    """Each at its own age, within the first hour."""
    database = Database(story_url, cold_files=ColdFiles(str(tmp_path / "cold")))
    age = (datetime.now(UTC) - STORY_ANCHOR).days
    settings = settings_of(story_url, tmp_path, keep_d=age + 5, cold_after_d=age + 3)

    async def oldest() -> tuple[datetime | None, datetime | None]:
        async with database.read() as session:
            return await session.scalar(select(func.min(Request.created_at))), await session.scalar(
                select(func.min(ColdDay.day))
            )

    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    kept = (midnight - timedelta(days=age + 5)), (midnight - timedelta(days=age + 3))
    async with day_mover(database, settings), asyncio.timeout(PATIENCE_S):
        while True:
            hot, cold = await oldest()
            if hot and hot >= kept[1] and cold == kept[0]:
                break
            await asyncio.sleep(0.02)
    await database.close()


async def test_a_service_that_only_reads_removes_nothing(story_url: str, tmp_path: Path) -> None:
    """Nor does one that is not told to."""
    database = Database(story_url)
    kept: list[dict[str, Any]] = [{"keep_d": 1, "read_only": True}, {}]
    for changes in kept:
        async with day_mover(database, settings_of(story_url, tmp_path, **changes)):
            assert len(asyncio.all_tasks()) == 1
    await database.close()
