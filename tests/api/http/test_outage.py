"""The database goes away while the service runs, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.http_service import QUESTION, client_of, running, settings_of
from tests.support.prepared_databases import PostgresServer, seed_story


@pytest.fixture
def database_name(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.clone(seed_story)
    yield name
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.process
async def test_an_outage_is_told_as_one_and_needs_no_restart(
    postgres: PostgresServer, database_name: str, tmp_path: Path
) -> None:
    """503 with Retry-After for every form of a question, and answers again as soon as there is a database."""
    settings = settings_of(postgres.url(database_name), tmp_path, tick_s=0)
    async with running(settings) as app, client_of(app) as client:
        assert (await ask(client)).status_code == 200
        await asyncio.to_thread(close, postgres, database_name)
        for path, accept in (("query", "*/*"), ("query", "text/event-stream"), ("context", "*/*")):
            response = await ask(client, path, accept)
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) > 0
            assert response.json()["type"] == "urn:arcpoint:problem:database"
            assert database_name not in response.text
        assert (await client.get("/v1/requests")).status_code == 503
        postmortem = "/v1/incidents/inc_1/postmortem"
        assert (await client.get("/v1/incidents")).status_code == 503
        assert (await client.get(postmortem)).status_code == 503
        assert (await client.post(postmortem)).status_code == 503
        assert (await client.post(f"{postmortem}/approve", json={"by": "ada"})).status_code == 503
        assert (await client.get("/v1/memory/search?text=slow")).status_code == 503
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert database_name in ready.json()["database"]["reason"]
        await asyncio.to_thread(postgres.psql, f"ALTER DATABASE {database_name} ALLOW_CONNECTIONS true")
        assert (await ask(client)).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


async def ask(client: httpx.AsyncClient, path: str = "query", accept: str = "*/*") -> httpx.Response:
    return await client.post(f"/v1/{path}", json={"question": QUESTION}, headers={"accept": accept})


def close(postgres: PostgresServer, name: str) -> None:
    """Ends all connections and lets nobody in."""
    postgres.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname"
    postgres.psql(f"{ends} = '{name}'")
