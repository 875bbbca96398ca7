"""Caps over HTTP: a question keeps its context, a postmortem is a conflict, the report shows both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from context_builder.spend.caps import set_cap
from models import AccountKind, Incident
from models.database import Database
from tests.loopback.messages_api import MessagesApi
from tests.support.gateway import HOUR, NOON
from tests.support.http_service import QUESTION, client_of, running, settings_of, without_memory


@pytest.fixture
async def app(database_url: str, messages_api: MessagesApi, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """A service that may spend a tenth of a cent a day, as a day is in Tokyo, and has a resolved incident."""
    settings = settings_of(database_url, tmp_path, messages_api, memory_path=without_memory(tmp_path))
    async with running(settings) as app:
        database: Database = app.state.services.database
        await set_cap(database, AccountKind.INSTALLATION, "", Decimal("0.001"), "Asia/Tokyo")
        async with database.write() as session:
            session.add(
                Incident(
                    public_id="inc_1", title="Slow answers", severity="high", status="resolved",
                    started_at=NOON - HOUR, resolved_at=NOON,
                )
            )  # fmt: skip
        yield app


async def test_what_does_not_fit_loses_no_context(app: FastAPI, messages_api: MessagesApi) -> None:
    """Nothing is sent; the question is answered with the facts, and the postmortem waits for another day."""
    async with client_of(app) as client:
        answer = await client.post("/v1/query", json={"question": QUESTION})
        postmortem = await client.post("/v1/incidents/inc_1/postmortem")
        report = (await client.get("/v1/spend", params={"days": 2})).json()
        refused = await client.get("/v1/spend", params={"days": 0})
    body = answer.json()
    assert answer.status_code == httpx.codes.OK
    assert body["model"] is None
    assert body["manifest"]["sources"]
    reason = body["no_model_reason"]
    assert reason.startswith("the installation has $0.0010 left of $0.0010 for 2")
    assert "(Asia/Tokyo), and the call could cost $0." in reason
    assert postmortem.status_code == httpx.codes.CONFLICT
    assert postmortem.json()["detail"].startswith("the installation has $0.0010 left")
    assert report["caps"] == [
        {"kind": "installation", "id": "", "limit_usd": "0.001", "time_zone": "Asia/Tokyo"}
    ]
    assert (report["accounts"], report["in_flight"]) == ([], 0)
    assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert messages_api.messages == []
