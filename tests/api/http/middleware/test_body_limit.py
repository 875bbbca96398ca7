"""The limit of a body, whatever the client says of its length."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from api.http.middleware.body_limit import BodyLimit


async def read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def refuse(_: Request, error: HTTPException) -> PlainTextResponse:
    return PlainTextResponse(error.detail, error.status_code, error.headers)


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 300_000):
        yield body[start : start + 300_000]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_million_bytes_are_read_and_one_more_is_refused(*, announced: bool) -> None:
    """413 that names the limit, from the announced length as from counting."""
    handlers: dict[Any, Any] = {HTTPException: refuse}
    app = Starlette(
        routes=[Route("/", read, methods=["POST"])],
        middleware=[Middleware(BodyLimit)],
        exception_handlers=handlers,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for size, status, text in ((1_000_000, 200, "1000000"), (1_000_001, 413, "1,000,000 bytes")):
            body = b" " * size
            response = await client.post("/", content=body if announced else chunks(body))
            assert response.status_code == status
            assert text in response.text
            assert "connection" not in response.headers
