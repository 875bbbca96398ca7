"""The demo's week comes in through live ingestion and is the week that `seed` stores."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from api.cli.demo.posting import post_week
from api.demo_data import DemoDataError, generate
from api.services import open_services
from models.database import Database
from tests.api.demo_data.test_generator import contents
from tests.support.http_service import settings_of, without_memory
from tests.support.prepared_databases import STORY_ANCHOR, STORY_SEED

WHO_SENT_IT = ("audit_entries", "audit_heads")


@pytest.mark.long
async def test_the_week_that_is_posted_is_the_week_that_is_seeded(
    sqlite_url: str, sqlite_story_url: str, tmp_path: Path
) -> None:
    """Every row of every table, with rollups and derived columns; a week that is there is not taken twice.

    What the user has set for senders to their own service does not count.
    """
    data = await asyncio.to_thread(generate, STORY_SEED, STORY_ANCHOR)
    own: dict[str, Any] = {"ingest_secrets": "requests=hush", "ingest_items": 1, "ingest_users": 1}
    settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path), **own)
    seen: list[tuple[int, int]] = []
    async with open_services(settings, wait_for_memory=False) as services:
        posted = await post_week(services, data, lambda *progress: seen.append(progress))
        assert posted.accepted == data.counts
        assert seen[-1] == (posted.accepted.total(), posted.accepted.total())
        with pytest.raises(DemoDataError, match=r'/v1/ingest/deployments .* "duplicate": 6'):
            await post_week(services, data, lambda *_: None)
    found, expected = await _contents(sqlite_url), await _contents(sqlite_story_url)
    for table in found.keys() - set(WHO_SENT_IT):
        assert found[table] == expected[table], table


async def _contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    database = Database(url)
    try:
        return await contents(database)
    finally:
        await database.close()
