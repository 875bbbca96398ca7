"""Cross-site requests: what a page of another site can make a browser send changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from api.http.app import create_app
from api.http.middleware.cross_site import RefuseCrossSite
from api.http.middleware.request_id import RequestId
from tests.support.http_service import settings_of

POSTMORTEM = "/v1/incidents/inc_1/postmortem"
CHANGES = ["POST", "PUT", "PATCH", "DELETE"]
FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "http://service:8081"},
    {"origin": "http://service.evil.example"},
    {"origin": "http://service@evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://service:port"},
    {"origin": "http://[service"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "something new", "origin": "http://service"},
    {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
]
OWN = [
    {},
    {"origin": "http://service"},
    {"origin": "HTTP://SERVICE:80"},
    {"origin": "https://service"},
    {"origin": "http://service", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
]


async def reached(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"reached with {len(body)} bytes")(scope, receive, send)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that does nothing else."""
    transport = httpx.ASGITransport(RequestId(RefuseCrossSite(reached)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_foreign_page_changes_nothing(
    client: httpx.AsyncClient, method: str, headers: dict[str, str]
) -> None:
    """403 as a problem document for another host or port, for `null`, and for what cannot be parsed."""
    bodies: list[dict[str, Any]] = [{}, {"json": {"by": "ada"}}]
    for body in bodies:
        response = await client.request(method, POSTMORTEM, headers=headers, **body)
        assert response.status_code == 403
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("headers", OWN, ids=str)
async def test_programs_and_own_pages_are_served(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Neither curl nor an SDK sends these headers; own pages send their origin, even behind a TLS proxy."""
    for method in CHANGES:
        assert (await client.request(method, POSTMORTEM, headers=headers)).text == "reached with 0 bytes"
        response = await client.request(method, POSTMORTEM, headers=headers, json={"by": "ada"})
        assert response.text == "reached with 12 bytes"


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_reading_is_not_a_change(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """A link on another site may lead here; the browser keeps what it reads from that site."""
    assert (await client.get("/v1/incidents", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/jsonp"},
        {"content-type": "text/plain; application/json"},
        {"content-type": ""},
        {},
    ],
    ids=str,
)
async def test_a_body_that_a_form_can_send_is_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    """415 for every body that is not JSON, announced or in chunks; an empty form as well."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"by": "ada"}'

    for content in (b'{"by": "ada"}', chunks()):
        response = await client.post(POSTMORTEM, content=content, headers=headers)
        assert response.status_code == 415
        assert "application/json" in response.json()["detail"]
    expected = 415 if headers else 200
    assert (await client.post(POSTMORTEM, headers=headers)).status_code == expected


async def test_every_state_changing_route_of_the_service_refuses(tmp_path: Path) -> None:
    """Before anything is opened, read or written: the service has not even been started here."""
    app = await asyncio.to_thread(create_app, settings_of("sqlite:///none.db", tmp_path))
    paths = app.openapi()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods if method != "get"]
    assert len(routes) >= 5
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        for method, path in routes:
            response = await client.request(method, path, headers={"origin": "https://evil.example"})
            assert response.status_code == 403, path
            response = await client.request(
                method, path, content=b"{}", headers={"content-type": "text/plain"}
            )
            assert response.status_code == 415, path
            described = paths[path][method]["responses"]
            assert {"403", "415"} <= described.keys()
