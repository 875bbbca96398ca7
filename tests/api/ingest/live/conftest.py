"""A service that posts go to, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.support.http_service import client_of, running, settings_of, without_memory

Post = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def changes() -> dict[str, Any]:
    """Settings of the service that a test states itself."""
    return {}


@pytest.fixture
async def app(database_url: str, tmp_path: Path, changes: dict[str, Any]) -> AsyncIterator[FastAPI]:
    settings = settings_of(database_url, tmp_path, memory_path=without_memory(tmp_path), **changes)
    async with running(settings) as app:
        yield app


@pytest.fixture
async def post(app: FastAPI) -> AsyncIterator[Post]:
    """Posts a body to a kind of record or a receiver."""
    async with client_of(app) as client:

        async def send(name: str, content: bytes | AsyncIterator[bytes], **headers: str) -> httpx.Response:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            sent = {"content-type": "application/json"} | given
            return await client.post(f"/v1/ingest/{name}", content=content, headers=sent)

        yield send
