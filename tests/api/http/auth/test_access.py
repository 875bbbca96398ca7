"""Who is let in by a running service: with a key, without one, from elsewhere, and with whose data."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from api.access.caller import Caller, Role
from api.access.errors import Forbidden
from api.access.keys import KeyRequest, create_key, revoke_key
from api.http.auth.own_data import as_asked_by
from context_builder.question.request import QuestionInput, ScopeNames
from context_builder.text.clock import utc_now
from tests.support.http_service import client_of, running, settings_of, without_memory

ELSEWHERE = ("203.0.113.9", 4711)
PROBLEM = "application/problem+json"


@pytest.fixture
async def app(sqlite_story_url: str, tmp_path: Path) -> AsyncIterator[FastAPI]:
    settings = settings_of(
        sqlite_story_url,
        tmp_path,
        memory_path=without_memory(tmp_path),
        ingest_secrets="github=hush alertmanager=token-1",
        cors_origins="https://console.example.org",
    )
    async with running(settings) as app:
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def key_of(app: FastAPI, role: Role = Role.VIEWER, **wanted: Any) -> dict[str, str]:
    """The header of a new key."""
    request = KeyRequest(name=f"ci-{role}", role=role, **wanted)
    async with app.state.services.database.write() as session:
        return {"x-api-key": (await create_key(session, request, now=utc_now())).secret}


def from_elsewhere(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=ELSEWHERE)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def test_a_key_that_is_revoked_opens_nothing_in_any_worker(app: FastAPI, tmp_path: Path) -> None:
    """Two services of one database: from the commit on neither serves it, though both have just done so."""
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(running(app.state.settings))
        clients = [await stack.enter_async_context(client_of(each)) for each in (app, other)]
        key = await key_of(app)
        for client in clients:
            assert (await client.get("/v1/deployments", headers=key)).status_code == 200
        async with app.state.services.database.write() as session:
            await revoke_key(session, key["x-api-key"], now=utc_now())
        for client in clients:
            refused = await client.get("/v1/deployments", headers=key)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert (await client.get("/v1/deployments")).status_code == 401


async def test_without_keys_only_this_machine_is_served_and_with_one_nobody_without(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    """Nothing that a client writes makes it local, and the first key closes every other way in."""
    path = "/v1/deployments"
    assert (await client.get(path)).status_code == 200
    for headers in (
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"host": "evil.example"},
    ):
        assert (await client.get(path, headers=headers)).status_code == 401
    async with from_elsewhere(app) as stranger:
        for headers in (
            {},
            {"x-forwarded-for": "127.0.0.1"},
            {"x-real-ip": "::1"},
            {"x-api-key": "anything"},
        ):
            refused = await stranger.get(path, headers=headers)
            assert (refused.status_code, refused.headers["content-type"]) == (401, PROBLEM)
            assert "send an API key" in refused.json()["detail"]
        key = await key_of(app)
        assert (await stranger.get(path, headers=key)).status_code == 200
        bearer = {"authorization": f"bearer {key['x-api-key']}"}
        assert (await stranger.get(path, headers=bearer)).status_code == 200
    assert (await client.get(path)).status_code == 401


async def test_where_people_log_in_this_machine_is_not_open_either(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another way of proving who calls is asked after the key; whom it does not know is a stranger."""

    async def named(request: Request) -> Caller | None:
        name = request.headers.get("x-name")
        return None if name is None else Caller(name=f"person:{name}", role=Role.VIEWER)

    monkeypatch.setattr(app.state, "people", [named])
    assert (await client.get("/v1/deployments")).status_code == 401
    ann = {"x-name": "ann"}
    assert (await client.get("/v1/deployments", headers=ann)).status_code == 200
    refused = await client.post("/v1/incidents/inc_1/postmortem", headers=ann)
    assert (refused.status_code, "person:ann has the role viewer" in refused.json()["detail"]) == (403, True)


async def test_strangers_learn_that_it_is_ready_and_not_why_it_is_not(app: FastAPI) -> None:
    """Reasons name hosts and folders; what is open to everybody shows none."""
    async with from_elsewhere(app) as stranger, client_of(app) as here:
        theirs, ours = [await each.get("/readyz") for each in (stranger, here)]
    assert theirs.json()["status"] == ours.json()["status"] == "degraded"
    assert "arcpoint memory rebuild" in ours.text
    assert "arcpoint memory rebuild" not in theirs.text
    assert "the service's log says why" in theirs.text


async def test_a_key_with_a_rate_is_told_when_to_come_back(app: FastAPI, client: httpx.AsyncClient) -> None:
    """429 for questions; 503 for telemetry, whose senders would drop what is answered with 429."""
    viewer = await key_of(app, rate_per_minute=1)
    sender = await key_of(app, Role.INGEST, rate_per_minute=1)
    for _ in range(2):
        asked = await client.get("/v1/deployments", headers=viewer)
        sent = await client.post("/v1/ingest/requests", headers=sender, json=[])
    assert (asked.status_code, asked.json()["type"]) == (429, "urn:arcpoint:problem:rate")
    assert (sent.status_code, sent.json()["type"]) == (503, "urn:arcpoint:problem:ingest")
    for refused in (asked, sent):
        assert 0 < int(refused.headers["retry-after"]) <= 60


async def test_a_sender_that_signs_needs_no_key_and_no_key_replaces_its_signature(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    """Where a secret is set it alone counts; everywhere else a key for ingestion does."""
    key = await key_of(app, Role.INGEST)
    json_type = {"content-type": "application/json", "x-github-event": "ping"}
    signature = "sha256=" + hmac.new(b"hush", b"{}", hashlib.sha256).hexdigest()
    for headers, status in ((json_type | {"x-hub-signature-256": signature}, 200), (json_type | key, 401)):
        response = await client.post("/v1/ingest/github", content=b"{}", headers=headers)
        assert response.status_code == status, response.text
    token = {"authorization": "Bearer token-1"}
    assert (
        await client.post("/v1/ingest/alertmanager", json={"alerts": []}, headers=token)
    ).status_code == 200
    for headers, status in (({}, 401), (token, 401), (key, 200)):
        response = await client.post("/v1/ingest/requests", json=[], headers=headers)
        assert response.status_code == status, response.text


async def test_a_key_bound_to_a_user_shows_that_user_only(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Its own requests and budget; others are refused by name, and their requests are as unknown as none."""
    own = "user_acme"
    every = (await client.get("/v1/requests")).json()["requests"]
    foreign = next(each for each in every if each["user"] != own)
    mine = (await client.get("/v1/requests", params={"user": own})).json()["requests"][0]
    key = await key_of(app, user=own)

    async def get(path: str, **params: Any) -> httpx.Response:
        return await client.get(path, params=params, headers=key)

    shown = (await get("/v1/requests")).json()["requests"]
    assert {each["user"] for each in shown} == {own}
    assert (await get("/v1/requests", user=foreign["user"])).status_code == 403
    assert (await get("/v1/requests", user=own)).json()["requests"]
    detail = await get(f"/v1/requests/{mine['id']}")
    assert detail.json()["request"]["id"] == mine["id"]
    unknown = await get("/v1/requests/none")
    theirs = await get(f"/v1/requests/{foreign['id']}")
    assert (theirs.status_code, unknown.status_code) == (404, 404)
    others = {each["id"] for each in every if each["user"] != own} - {foreign["id"]}
    assert not {each for each in others if each in theirs.text + unknown.text}, "what is similar is named"
    assert (await get(f"/v1/users/{own}/context")).json()["id"] == own
    refused = await get(f"/v1/users/{foreign['user']}/context")
    assert (refused.status_code, "is bound to the user user_acme" in refused.json()["detail"]) == (403, True)
    question = {"question": "Who are the top users, and what do they spend?"}
    answers = [await client.post(path, json=question, headers=key) for path in ("/v1/query", "/v1/context")]
    users = {each["user"] for each in every} - {own}
    for answer in answers:
        assert (answer.status_code, {user for user in users if user in answer.text}) == (200, set())


def test_a_bound_caller_asks_as_its_user_and_as_nobody_else() -> None:
    """As whom it says it asks does not matter; a caller of all users may still ask for any."""
    bound = Caller(name="key:ci", role=Role.VIEWER, user="user_a")
    confined = QuestionInput(question="?", asked_by="user_a", confined_to="user_a")
    assert as_asked_by(bound, QuestionInput(question="?")) == confined
    assert as_asked_by(bound, QuestionInput(question="?", asked_by="user_a")) == confined
    for other in (
        QuestionInput(question="?", asked_by="user_b"),
        QuestionInput(question="?", scope=ScopeNames(users=("user_a", "user_b"))),
    ):
        with pytest.raises(Forbidden, match="bound to the user user_a, not to 'user_b'"):
            as_asked_by(bound, other)
        assert as_asked_by(Caller(name="key:ci", role=Role.VIEWER), other) == other


async def test_browsers_are_told_to_keep_and_run_nothing(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On answers, errors, internal errors, streams and pages alike."""

    async def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    paths = ["/healthz", "/v1/deployments", "/none", "/docs", "/openapi.json", "/v1/requests/none"]
    responses = [await client.get(path) for path in paths]
    monkeypatch.setattr(app.state.keys, "has_keys", broken)
    responses.append(await client.get("/v1/deployments"))
    assert [response.status_code for response in responses] == [200, 200, 404, 200, 200, 404, 500]
    for response in responses:
        headers = response.headers
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert headers["cache-control"] == "no-store"
        assert headers.get_list("content-security-policy")[0].endswith("frame-ancestors 'none'")
        assert "access-control-allow-origin" not in headers


async def test_only_the_origins_of_the_settings_may_call_from_a_page(client: httpx.AsyncClient) -> None:
    """A preflight and the call itself: granted to the one that is set, refused to every other."""
    wants = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    for origin, is_allowed in (("https://console.example.org", True), ("https://evil.example", False)):
        page = {"origin": origin, "sec-fetch-site": "cross-site"}
        preflight = await client.options("/v1/route", headers=page | wants)
        assert (preflight.headers.get("access-control-allow-origin") == origin) is is_allowed
        assert "access-control-allow-credentials" not in preflight.headers
        called = await client.post("/v1/route", headers=page, json={"no": 1})
        assert called.status_code == (422 if is_allowed else 403)
