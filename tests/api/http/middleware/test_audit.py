"""Every request that asks or could change something has an entry in the audit trail, under its caller."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from api.access.caller import LOOPBACK, Caller, Role
from api.audit.verification import verify_database
from api.http.app import create_app
from models import Deployment, Incident
from tests.support.http_service import QUESTION, client_of, settings_of, without_memory
from tests.support.patience import PATIENCE_S

SECRET = "sk-ant-api03-" + "a1B2" * 20
JSON = {"content-type": "application/json"}
EXPECTED = [
    ("person:ann@example.org", "question", "done"),
    ("key:gateway", "ingest", "done"),
    ("loopback", "context", "done"),
    ("loopback", "question", "refused"),
    ("loopback", "ingest", "refused"),
    ("loopback", "postmortem", "done"),
    ("loopback", "approve", "done"),
    ("loopback", "reject", "refused"),
    ("loopback", "route", "done"),
]
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


async def caller_in_header(request: Request) -> Caller:
    """A way to prove who calls: by saying so."""
    role, _, name = request.headers.get("x-caller", "").partition(":")
    return Caller(name=name, role=Role(role), key_id=7) if name else LOOPBACK


@pytest.fixture
async def app(sqlite_url: str, tmp_path: Path) -> AsyncIterator[FastAPI]:
    settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path))
    app = await asyncio.to_thread(create_app, settings)
    app.state.people = [caller_in_header]
    async with app.router.lifespan_context(app):
        async with app.state.services.database.write() as session:
            session.add(Deployment(public_id="gpt-4/aws", model="gpt-4", backend="aws", created_at=MOMENT))
            session.add(
                Incident(
                    public_id="inc_new", title="Slow", severity="high", status="resolved",
                    started_at=MOMENT, resolved_at=MOMENT,
                )
            )  # fmt: skip
        yield app


async def entries(app: FastAPI, client: httpx.AsyncClient, **parameters: Any) -> list[dict[str, Any]]:
    """Entries of the trail, the oldest first, once everything that waits is written."""
    async with asyncio.timeout(PATIENCE_S):
        while app.state.services.audit._waiting:  # noqa: ASYNC110  no event
            await asyncio.sleep(0.05)
    page = await client.get("/v1/audit", params=parameters)
    assert page.status_code == httpx.codes.OK
    return list(reversed(page.json()["entries"]))


async def test_each_action_has_one_entry_of_its_caller(app: FastAPI) -> None:
    """Questions, prompts, posts, decisions, postmortems and routes, done and refused: no text of anybody."""
    question = f"{QUESTION} My key is {SECRET}."
    audit = "operator:person:ann@example.org"
    async with client_of(app) as client:
        answer = (
            await client.post("/v1/query", json={"question": question}, headers={"x-caller": audit})
        ).json()
        await client.post("/v1/context", json={"question": QUESTION})
        await client.post("/v1/query", json={"question": ""})
        await client.post("/v1/ingest/requests", content="nonsense", headers=JSON)
        await client.post(
            "/v1/ingest/users",
            json=[{"user": "user_new", "tier": "premium", "updated_at": "2026-01-01T00:00Z"}],
            headers={"x-caller": "ingest:key:gateway"},
        )
        await client.post("/v1/incidents/inc_new/postmortem")
        await client.post("/v1/incidents/inc_new/postmortem/approve", json={"by": "ann"})
        await client.post(f"/v1/incidents/{SECRET}/postmortem/reject", json={"by": "ann"})
        await client.post("/v1/route", json={})
        await client.post("/v1/nothing", json={})
        found = await entries(app, client)
        shown = await client.get("/v1/audit", headers={"x-caller": "operator:key:ci"})
    kinds = sorted((each["caller"], each["action"], each["outcome"]) for each in found)
    assert kinds == sorted(EXPECTED)
    by_action = {each["action"]: each for each in found if each["outcome"] == "done"}
    digest = hashlib.sha256(answer["question"].encode()).hexdigest()
    assert by_action["question"]["subject"] == answer["id"]
    assert by_action["question"]["detail"]["question_sha256"] == digest
    assert by_action["ingest"]["detail"] == {"added": 1, "rejected": 0}
    assert (by_action["ingest"]["subject"], by_action["ingest"]["key_id"]) == ("users", 7)
    assert by_action["approve"]["detail"] == {"by": "ann", "changed": True}
    assert by_action["route"]["subject"]
    text = json.dumps(found)
    assert SECRET not in text
    assert QUESTION not in text
    assert shown.status_code == httpx.codes.FORBIDDEN
    assert (await verify_database(app.state.services.database)).broken is None


async def test_entries_are_found_by_time_action_and_caller_in_pages(app: FastAPI) -> None:
    """Each filter narrows, a page says where the next one begins, and a wrong parameter is refused."""
    async with client_of(app) as client:
        for name in ("a", "b", "a"):
            headers = {"x-caller": f"viewer:key:{name}"}
            await client.post("/v1/context", json={"question": QUESTION}, headers=headers)
        found = await entries(app, client, caller="key:a", action="context")
        assert [each["sequence"] for each in found] == [1, 3]
        assert await entries(app, client, until=found[0]["at"]) == []
        assert len(await entries(app, client, since=found[1]["at"])) == 1
        page = (await client.get("/v1/audit", params={"limit": 2})).json()
        assert (page["next"], len(page["entries"])) == (2, 2)
        rest = (await client.get("/v1/audit", params={"limit": 2, "before": 2})).json()
        assert (rest["next"], [each["sequence"] for each in rest["entries"]]) == (None, [1])
        refused = await client.get("/v1/audit", params={"before": 0})
    assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
