"""Questions that are given up at any moment."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.loopback.messages_api import MessagesApi, Reply
from tests.support.http_service import QUESTION, START_S, client_of, running, settings_of


@pytest.mark.filterwarnings("error")
async def test_a_question_that_is_given_up_leaves_its_connections_to_others(
    story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> None:
    """Whatever it was at: no connection stays taken, no write lock held, no model call open."""
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    messages_api.always(Reply(delay_s=0.005, piece_length=40))

    async def ask_and_leave() -> None:
        try:
            async with asyncio.timeout(chance.uniform(0.001, 0.4)):
                await client.post("/v1/query", json={"question": QUESTION})
        except TimeoutError:
            pass

    settings = settings_of(story_url, tmp_path, messages_api, database_connections=8)
    async with running(settings) as app, client_of(app) as client:
        for _ in range(12):
            await asyncio.gather(*(ask_and_leave() for _ in range(3)))
        answer = await client.post("/v1/query", json={"question": QUESTION})
        assert answer.json()["model"]
        database = app.state.services.database
        # The service's own upkeep may hold one for a moment.
        async with asyncio.timeout(START_S):
            pools = (database.read_engine.pool, database.write_engine.pool)
            while any(pool.checkedout() for pool in pools):  # noqa: ASYNC110  pools have no event
                await asyncio.sleep(0.01)
        await messages_api.until(lambda journal: journal.open_streams == 0)
