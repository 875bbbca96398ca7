"""Who does not know the secret of a path stores nothing there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from structlog.testing import capture_logs

from api.access.caller import Role
from api.access.keys import KeyRequest, create_key
from api.ingest.live.ingestor import create_ingestor
from api.settings import Settings, SettingsError, load_settings
from context_builder.text.clock import utc_now
from models import Request
from models.database import Database
from tests.support.http_service import client_of
from tests.support.kinds_of_records import EXAMPLES

Post = Callable[..., Awaitable[httpx.Response]]
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NAMES = ("github", "pagerduty", "launchdarkly", "incidentio", "requests")
BODY = json.dumps(EXAMPLES["requests"]).encode()


def headers_of(name: str, secret: str = SECRET, body: bytes = BODY, sent_at: float = 0) -> dict[str, str]:
    """What a sender that knows a secret sends beside a body."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if name == "incidentio":
        moment = str(int(sent_at or time.time()))
        content = f"msg_1.{moment}.".encode() + body
        own = base64.b64encode(hmac.new(base64.b64decode(secret), content, hashlib.sha256).digest()).decode()
        return {"webhook_id": "msg_1", "webhook_timestamp": moment, "webhook_signature": f"v1,abc v1,{own}"}
    return {
        "github": {"x_hub_signature_256": f"sha256={digest}"},
        "pagerduty": {"x_pagerduty_signature": f"v1=0123,v1={digest}"},
        "launchdarkly": {"x_ld_signature": digest},
        "requests": {"authorization": f"Bearer {secret}"},
    }[name]


@pytest.mark.parametrize("changes", [{"ingest_secrets": " ".join(f"{name}={SECRET}" for name in NAMES)}])
@pytest.mark.parametrize("name", NAMES)
async def test_only_who_knows_the_secret_is_heard(database: Database, post: Post, name: str) -> None:
    """Nothing, another secret, another body and an old recording are refused; the right one is read."""
    other = SECRET[::-1]
    wrong: list[dict[str, str]] = [{}, headers_of(name, other)]
    if name != "requests":
        wrong.append(headers_of(name, body=BODY + b" "))
    if name == "incidentio":
        wrong += [headers_of(name, sent_at=time.time() - 600), headers_of(name, sent_at=time.time() + 600)]
    for headers in wrong:
        response = await post(name, BODY, **headers)
        assert (response.status_code, name in response.json()["detail"]) == (401, True)
        assert SECRET not in response.text
    right = await post(name, BODY, **headers_of(name))
    # The body is one of our own kinds, which the others cannot read.
    assert right.status_code == (200 if name == "requests" else 400), right.text
    assert (await post("deployments", json.dumps(EXAMPLES["deployments"]).encode())).status_code == 200
    async with database.write() as session:
        assert await session.scalar(select(func.count()).select_from(Request)) == (name == "requests")


HASHED = "sha256:" + hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.mark.parametrize(
    "changes", [{"ingest_secrets": f"statuspage={given} health={given}"} for given in (SECRET, HASHED)]
)
async def test_a_sender_that_knows_only_an_address_has_its_secret_there(
    app: FastAPI, database: Database
) -> None:
    """The service may know its hash alone; no other path takes it, and no log, metric or answer shows it."""
    component = b'{"page": {"id": "p", "name": "OpenAI"}, "component_update": {}}'
    health = json.dumps(EXAMPLES["health"]).encode()

    async def status_of(path: str, body: bytes = component, **headers: str) -> int:
        sent = {"content-type": "application/json"} | headers
        response = await client.post(path, content=body, headers=sent)
        answers.append(response.text)
        return response.status_code

    answers: list[str] = []
    async with database.write() as session:
        wanted = KeyRequest(name="ci", role=Role.ADMIN)
        key = (await create_key(session, wanted, now=utc_now())).secret
    async with client_of(app) as client:
        with capture_logs() as logged:
            for wrong in ("", f"?key={SECRET[:-1]}", f"?key={HASHED}", f"?key={key}", f"?about={SECRET}"):
                assert await status_of(f"/v1/ingest/statuspage{wrong}") == 401, wrong
            assert await status_of(f"/v1/ingest/statuspage?about=openai&key={SECRET}") == 200
            assert await status_of("/v1/ingest/statuspage", authorization=f"Bearer {SECRET}") == 200
            assert await status_of(f"/v1/ingest/statuspage?key={SECRET}", b"nothing") == 400
            assert await status_of(f"/v1/ingest/health?key={SECRET}", health) == 401
            assert await status_of(f"/v1/ingest/users?key={key}", b"[]") == 401
            assert await status_of("/v1/ingest/health", health, authorization=f"Bearer {SECRET}") == 200
        answers.append((await client.get("/metrics", headers={"x-api-key": key})).text)
        trail = (await client.get("/v1/audit", headers={"x-api-key": key})).json()["entries"]
    assert "sender:health" in {each["caller"] for each in trail}
    assert len(logged) >= len(answers) - 1
    for secret in (SECRET, SECRET[:-1], key):
        assert secret not in f"{answers} {logged} {trail}"


@pytest.mark.parametrize("given", ["github", "=x", "github= x"])
def test_a_secret_needs_a_name(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """The error shows the form and not the secrets."""
    monkeypatch.setenv("ARCPOINT_INGEST_SECRETS", f"{given} github={SECRET}")
    with pytest.raises(SettingsError, match="name=secret") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


def test_a_secret_of_nothing_is_refused() -> None:
    """A misspelled name would leave a path open."""
    database: Any = None
    with pytest.raises(SettingsError, match="'gihtub' is not taken in; accepted are deployments"):
        create_ingestor(Settings(ingest_secrets=f"gihtub={SECRET}"), database)
