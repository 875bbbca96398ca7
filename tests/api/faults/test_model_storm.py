"""The model API refuses everything for a while, under many questions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from models import AccountKind, SpendReservation
from models.database import Database
from tests.loopback.behaviour import Fail, Reply
from tests.loopback.messages_api import MessagesApi
from tests.support.http_service import QUESTION, client_of, events_of, running, settings_of, without_memory
from tests.support.paid import spent_and_reserved
from tests.support.patience import PATIENCE_S

AT_ONCE = Fail(status=529, headers={"retry-after-ms": "5"})
IN_AN_HOUR = Fail(status=529, headers={"retry-after": "3600"})


async def ask(client: httpx.AsyncClient, number: int) -> dict[str, Any]:
    """Every other question is streamed."""
    accept = "text/event-stream" if number % 2 else "application/json"
    body = {"question": QUESTION, "user": f"asker_{number % 3}"}
    async with asyncio.timeout(PATIENCE_S):
        response = await client.post("/v1/query", json=body, headers={"accept": accept})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = events_of(response.text)[-1].data if number % 2 else response.json()
    return answer


async def reservations(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(SpendReservation)) or 0


@pytest.mark.long
async def test_a_storm_of_refusals_costs_nothing_and_needs_no_restart(
    sqlite_story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> None:
    """Each question gets the facts and the reason, nothing stays reserved, and the next gets the model."""
    settings = settings_of(
        sqlite_story_url, tmp_path, messages_api, memory_path=without_memory(tmp_path), model_retries=1
    )
    async with running(settings) as app, client_of(app) as client:
        database: Database = app.state.services.database
        messages_api.script(*[IN_AN_HOUR, AT_ONCE] * 6)
        messages_api.always(AT_ONCE)
        answers = await asyncio.gather(*(ask(client, number) for number in range(16)))
        assert len(messages_api.messages) > len(answers), "some were sent again"
        for answer in answers:
            assert answer["model"] is None
            assert "the API is overloaded (529)" in answer["no_model_reason"]
            assert answer["citations"], "the facts are given all the same"
        assert await spent_and_reserved(database) == (0, 0)
        assert await spent_and_reserved(database, AccountKind.USER) == (0, 0)
        assert await reservations(database) == 0
        messages_api.always(Reply())
        answers = await asyncio.gather(*(ask(client, number) for number in range(4)))
        assert all(answer["model"] and answer["no_model_reason"] is None for answer in answers)
        spent, reserved = await spent_and_reserved(database)
        assert spent > 0
        assert (reserved, await reservations(database)) == (0, 0)
