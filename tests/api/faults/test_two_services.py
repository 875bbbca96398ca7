"""Two services of one database, and senders that use one and the same API key with both."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from api.access.keys import KeyRequest, create_key
from api.audit.verification import verify_database
from context_builder.text.clock import utc_now
from models import AuditEntry, Deployment, Request, RequestRollup, Role, User
from models.database import Database
from tests.support.http_service import QUESTION, client_of, running, settings_of, without_memory
from tests.support.kinds_of_records import EXAMPLES
from tests.support.patience import PATIENCE_S

POSTS = 12
RATE = 20
"""Requests a minute of the key: more than a service is sent before its limit is tried."""


def requests(number: int, service: int) -> list[dict[str, Any]]:
    """What both services are sent, and what only one is; their user and deployment are new to both."""
    names = (f"both_{number}", f"only_{service}_{number}")
    new = {"user": f"user_{number}", "model": f"model-{number}"}
    return [EXAMPLES["requests"] | new | {"id": name} for name in names]


async def post(client: httpx.AsyncClient, number: int, service: int) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        response = await client.post("/v1/ingest/requests", json=requests(number, service))
    assert response.status_code == 200, response.text
    receipt: dict[str, Any] = response.json()
    return receipt


async def ask(client: httpx.AsyncClient) -> int:
    async with asyncio.timeout(PATIENCE_S):
        return (await client.post("/v1/context", json={"question": QUESTION})).status_code


async def new_key(database: Database) -> dict[str, str]:
    wanted = KeyRequest(name="shared", role=Role.ADMIN, rate_per_minute=RATE)
    async with database.write() as session:
        return {"x-api-key": (await create_key(session, wanted, now=utc_now())).secret}


@pytest.mark.long
@pytest.mark.both_databases
async def test_two_services_store_once_and_keep_one_chain(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """The same and different requests at once: each is there once, and each post is in the one trail."""
    key = await new_key(database)
    settings = settings_of(database_url, tmp_path, memory_path=without_memory(tmp_path), ingest_join_ms=0)
    async with AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(running(settings)) for _ in range(2)]
        clients = [await stack.enter_async_context(client_of(app)) for app in apps]
        for client in clients:
            client.headers.update(key)
        posts = [post(client, n, which) for n in range(POSTS) for which, client in enumerate(clients)]
        receipts, *answered = await asyncio.gather(asyncio.gather(*posts), *map(ask, clients))
        assert answered == [200, 200]
        # The limit is each worker's own: what one served takes nothing from the other.
        for client in clients:
            # At once, since what was taken comes back with time.
            statuses = Counter(await asyncio.gather(*(ask(client) for _ in range(RATE))))
            assert statuses[200] >= RATE - POSTS - 1, statuses
            assert statuses[429] > 0, statuses
    expected = {item["id"] for n in range(POSTS) for which in range(2) for item in requests(n, which)}
    async with database.read() as session:
        names = list(await session.scalars(select(Request.public_id)))
        counts = await session.scalars(
            select(func.sum(RequestRollup.requests)).group_by(RequestRollup.resolution)
        )
        entities = [
            await session.scalar(select(func.count()).select_from(table)) for table in (User, Deployment)
        ]
        ingested = await session.scalars(
            select(AuditEntry.detail).where(AuditEntry.action == "ingest", AuditEntry.caller == "key:shared")
        )
        details = [json.loads(each) for each in ingested]
        assert set(counts) == {len(expected)}
    assert sorted(names) == sorted(expected)
    assert entities == [POSTS, POSTS]
    assert sum(receipt["accepted"] for receipt in receipts) == len(expected)
    assert all(receipt["accepted"] + receipt["duplicate"] == 2 for receipt in receipts)
    assert len(details) == len(receipts)
    assert sum(each.get("added", 0) for each in details) == len(expected)
    assert (await verify_database(database)).broken is None
