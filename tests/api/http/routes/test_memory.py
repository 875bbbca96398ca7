"""Searching incident memory over HTTP, with the real index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from tests.support.http_service import client_of, running, settings_of
from tests.support.prepared_databases import STORY_ANCHOR

pytestmark = pytest.mark.process

WORDS = "connection refused on port 8443"


@pytest.fixture
async def app(sqlite_story_url: str, tmp_path: Path) -> AsyncIterator[FastAPI]:
    async with running(settings_of(sqlite_story_url, tmp_path)) as app:
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def search(client: httpx.AsyncClient, **parameters: Any) -> httpx.Response:
    return await client.get("/v1/memory/search", params={"text": WORDS} | parameters)


async def test_what_memory_recalls_is_told_with_who_vouches_for_it(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    """As described, at most as many as asked for; nothing of what was not over by the moment."""
    before = await search(client)
    assert before.status_code == 503
    assert before.json()["type"] == "urn:arcpoint:problem:memory"
    assert "arcpoint memory" in before.json()["detail"]
    assert int(before.headers["retry-after"]) > 0

    await app.state.services.memory.sync()
    recent = (await client.get("/v1/incidents", params={"status": "resolved", "limit": 1})).json()
    (like,) = recent["incidents"]
    response = await search(client, text=f"{like['title']} {like['symptoms']}", limit=2)
    assert response.status_code == 200, response.text
    body = response.json()
    assert 1 <= len(body["recollections"]) <= 2
    best = body["recollections"][0]
    assert (best["title"], best["root_cause"]) == (like["title"], like["root_cause"])
    assert (best["provenance"], best["status"]) == ("human", "approved")
    assert (body["nothing_similar"], body["best_similarity"]) == (False, None)
    description = (await client.get("/openapi.json")).json()
    schema = {"$ref": "#/components/schemas/SearchBody", "components": description["components"]}
    assert not list(Draft202012Validator(schema).iter_errors(body))

    early = (await search(client, as_of=(STORY_ANCHOR - timedelta(days=4000)).isoformat())).json()
    assert (early["recollections"], early["nothing_similar"], early["best_similarity"]) == ([], True, None)
    unlike = (await search(client, text="zebra quince")).json()
    assert unlike["nothing_similar"]
    assert unlike["best_similarity"] is not None


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"text": ""}, "the question is empty"),
        ({"text": "x" * 4001}, "at most 4,000"),
        ({"text": "a\0"}, "control character"),
        ({"limit": 51}, "less than or equal to 50"),
        ({"as_of": "2999-01-01T00:00Z"}, "is in the future"),
        ({"as_of": "2026-01-01T00:00"}, "has no time zone"),
        ({"q": "x"}, "q: unknown parameter"),
    ],
)
async def test_what_cannot_be_searched_for_is_named(
    client: httpx.AsyncClient, parameters: dict[str, Any], said: str
) -> None:
    """422 with what would be accepted."""
    response = await search(client, **parameters)
    assert response.status_code == 422, response.text
    assert response.json()["type"] == "urn:arcpoint:problem:parameters"
    assert said in response.json()["detail"]
