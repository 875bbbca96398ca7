"""`GET /healthz` and `GET /readyz`."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

import api.http.routes.health
from api.services import Services
from memory.embedding.hashing import HashingEmbedder
from tests.support.http_service import client_of, running, settings_of
from tests.support.patience import PATIENCE_S


@pytest.fixture
async def app(sqlite_story_url: str, tmp_path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN201 - an async generator of an app
    async with running(settings_of(sqlite_story_url, tmp_path)) as app:
        yield app


async def readiness(app: FastAPI) -> httpx.Response:
    async with client_of(app) as client:
        return await client.get("/readyz")


async def test_without_an_index_the_service_is_degraded_and_says_what_to_do(app: FastAPI) -> None:
    """Memory trouble is no reason to send nobody here, since questions are still answered."""
    response = await readiness(app)
    body = response.json()
    assert response.status_code == 200
    assert body["status"] == "degraded"
    assert "arcpoint memory" in body["memory"]["reason"]
    assert body["database"] == body["embedder"] == {"status": "ok", "reason": None}


@pytest.mark.process
async def test_with_all_parts_well_the_service_is_ready(app: FastAPI) -> None:
    """A recall really works then."""
    await app.state.services.memory.sync()
    response = await readiness(app)
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert response.json()["memory"] == {"status": "ok", "reason": None}


async def test_without_its_database_the_service_is_not_ready_but_alive(app: FastAPI, tmp_path: Path) -> None:
    """The schema of another version counts as none; the process need not be restarted for that."""

    def downgrade() -> None:
        with sqlite3.connect(tmp_path / "story.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0000'")

    await asyncio.to_thread(downgrade)
    response = await readiness(app)
    body = response.json()
    assert response.status_code == 503
    assert (body["status"], body["database"]["status"]) == ("unavailable", "unavailable")
    assert "arcpoint db upgrade" in body["database"]["reason"]
    assert body["memory"]["status"] == "degraded"
    async with client_of(app) as client:
        alive = await client.get("/healthz")
    assert (alive.status_code, alive.json()["status"]) == (200, "ok")


async def test_a_part_that_does_not_answer_costs_its_deadline_alone(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe is answered in time whatever hangs."""

    async def hang(_: HashingEmbedder) -> None:
        await asyncio.Event().wait()

    async def works(_: Services) -> None:
        """The database answers at once, as no slow machine can."""

    monkeypatch.setattr(HashingEmbedder, "load", hang)
    monkeypatch.setattr(api.http.routes.health, "_database_works", works)
    monkeypatch.setattr(api.http.routes.health, "DEADLINE_S", 0.1)
    async with asyncio.timeout(PATIENCE_S):
        response = await readiness(app)
    assert response.status_code == 200
    assert "not ready within 0.1 s" in response.json()["embedder"]["reason"]


async def test_a_service_that_is_to_stop_is_not_ready(app: FastAPI) -> None:
    """At once, whatever its parts are; it is alive, and answers what still comes."""
    app.state.is_draining = True
    response = await readiness(app)
    assert (response.status_code, response.json()["status"]) == (503, "draining")
    async with client_of(app) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
