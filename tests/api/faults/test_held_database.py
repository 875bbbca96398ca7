"""Others hold what a question reads: a table of PostgreSQL, or every connection for reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from models.database import Database
from tests.support.http_service import (
    QUESTION,
    client_of,
    running,
    settings_of,
    wait_for_sources,
    without_memory,
)
from tests.support.patience import PATIENCE_S

HELD = "jobs"
"""A table, and the only source that reads it for this question."""


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_S):
        return await client.post("/v1/query", json={"question": QUESTION})


def sources(response: httpx.Response) -> dict[str, str]:
    """Status of each source by its name."""
    assert response.status_code == 200, response.text
    manifest: dict[str, Any] = response.json()["manifest"]
    return {each["name"]: each["status"] for each in manifest["sources"]}


@asynccontextmanager
async def serving(url: str, folder: Path, **changes: Any) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    settings = settings_of(url, folder, memory_path=without_memory(folder), tick_s=0, **changes)
    async with running(settings) as app, client_of(app) as client:
        yield app, client


@pytest.mark.long
async def test_a_locked_table_costs_only_the_sources_that_read_it(
    postgres_story_url: str, tmp_path: Path
) -> None:
    """Questions are answered at the deadline, name what is missing, and are whole again without a restart."""
    other = Database(postgres_story_url)
    async with serving(postgres_story_url, tmp_path) as (app, client), AsyncExitStack() as held:
        wait_for_sources(app)
        whole = sources(await ask(client))
        builder = app.state.services.answerer.builder
        builder.sources = tuple(
            replace(each, deadline_s=0.5) if each.name == HELD else each for each in builder.sources
        )
        session = await held.enter_async_context(other.write())
        await session.execute(text(f"LOCK TABLE {HELD} IN ACCESS EXCLUSIVE MODE"))
        for response in await asyncio.gather(*(ask(client) for _ in range(4))):
            found = sources(response)
            assert found == whole | {HELD: "timeout"}
            assert HELD in response.json()["text"]
        await held.aclose()
        assert sources(await ask(client)) == whole
        assert app.state.services.database.connections_in_use == 0
    await other.close()


@pytest.mark.long
async def test_without_a_free_connection_a_question_is_to_be_asked_again(
    postgres_story_url: str, tmp_path: Path
) -> None:
    """503 with Retry-After for each once `max_wait_s` is over, and afterwards they are answered again."""
    async with serving(postgres_story_url, tmp_path) as (app, client), AsyncExitStack() as held:
        engine = app.state.services.database.read_engine
        assert engine.pool.timeout() == PATIENCE_S, "it is max_wait_s"
        engine.pool._timeout = 0.3
        for _ in range(engine.pool.size()):
            await held.enter_async_context(engine.connect())
        for response in await asyncio.gather(*(ask(client) for _ in range(4))):
            assert response.status_code == 503, response.text
            assert int(response.headers["retry-after"]) > 0
            assert response.json()["type"] == "urn:arcpoint:problem:database"
        await held.aclose()
        assert (await ask(client)).status_code == 200
