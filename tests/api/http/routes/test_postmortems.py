"""Postmortems over HTTP: read, written, approved and rejected, each with its refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from sqlalchemy import select

from models import Incident, Postmortem
from tests.loopback.messages_api import Fail, MessagesApi, Reply
from tests.support.http_service import client_of, running, settings_of

STRANGE = "INC/7 ü%2F?#🔥"
EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
async def app(database_url: str, messages_api: MessagesApi, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """A service whose model is the loopback API, with some incidents."""
    async with running(settings_of(database_url, tmp_path, messages_api)) as app:
        await add(app, "inc_1")
        await add(app, "inc_active", resolved_at=None, status="active")
        await add(app, "inc_gone", forgotten_at=LATER, review="rejected")
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def add(app: FastAPI, public_id: str, markdown: str | None = None, **columns: Any) -> None:
    given = {
        "public_id": public_id, "title": "Slow answers", "severity": "high", "status": "resolved",
        "started_at": EARLY, "resolved_at": LATER, "root_cause": "Quota", "resolution": "Raised it",
    }  # fmt: skip
    async with app.state.services.database.write() as session:
        row = Incident(**given | columns)
        session.add(row)
        await session.flush()
        if markdown is not None:
            session.add(
                Postmortem(
                    incident_id=row.id, provenance="model", markdown=markdown, summary="s", created_at=LATER
                )
            )


def path(incident: str, more: str = "") -> str:
    return f"/v1/incidents/{quote(incident, safe='')}/postmortem{more}"


def assert_problem(response: httpx.Response, status: int, kind: str) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"urn:arcpoint:problem:{kind}"
    detail: str = problem["detail"]
    assert "\n" not in detail
    return detail


async def test_a_postmortem_is_written_and_found_where_it_was_said_to_be(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """201 with its place; there as JSON, or as the document alone; a second one is not paid for."""
    written = await client.post(path("inc_1"))
    assert written.status_code == 201, written.text
    body = written.json()
    assert (body["incident"], body["status"], body["provenance"]) == ("inc_1", "draft", "model")
    found = await client.get(written.headers["location"])
    assert found.json() == body
    description = (await client.get("/openapi.json")).json()
    schema = {"$ref": "#/components/schemas/IncidentPostmortem", "components": description["components"]}
    assert not list(Draft202012Validator(schema).iter_errors(body))

    document = await client.get(path("inc_1"), headers={"accept": "text/markdown"})
    assert document.headers["content-type"] == "text/markdown; charset=utf-8"
    assert document.text == body["markdown"]

    assert "has been written already" in assert_problem(await client.post(path("inc_1")), 409, "conflict")
    assert len(messages_api.messages) == 1


async def test_two_at_the_same_time_pay_for_one(client: httpx.AsyncClient, messages_api: MessagesApi) -> None:
    """The other is told that it is being written, or has been."""
    messages_api.always(Reply(delay_s=0.05))
    answers = await asyncio.gather(*(client.post(path("inc_1")) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert len(messages_api.messages) == 1


async def test_what_cannot_be_written_is_refused_before_it_costs_anything(
    client: httpx.AsyncClient, app: FastAPI, messages_api: MessagesApi
) -> None:
    """404 for what is not there, 409 for what is not over and for what a person has decided on."""
    assert "known names include inc_1" in assert_problem(await client.post(path("inc_2")), 404, "unknown")
    assert "was forgotten" in assert_problem(await client.post(path("inc_gone")), 404, "unknown")
    assert "is still active" in assert_problem(await client.post(path("inc_active")), 409, "conflict")
    await add(app, "inc_decided", "# By a model")
    assert (await client.post(path("inc_decided", "/reject"), json={"by": "ada"})).status_code == 200
    assert "a person" in assert_problem(await client.post(path("inc_decided")), 409, "conflict")
    assert_problem(await client.post(path("\x00")), 422, "parameters")
    assert messages_api.messages == []


async def test_a_model_that_fails_leaves_nothing_behind(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """503 with the reason; the next attempt succeeds."""
    messages_api.always(Fail(status=529))
    response = await client.post(path("inc_1"))
    assert assert_problem(response, 503, "model")
    assert int(response.headers["retry-after"]) > 0
    assert "has no postmortem yet" in assert_problem(await client.get(path("inc_1")), 404, "unknown")
    messages_api.always(Reply())
    assert (await client.post(path("inc_1"))).status_code == 201


@pytest.mark.parametrize("markdown", ["", "# x\n---\n```\n", "ü\u2028\U0001f525"])
async def test_an_id_may_hold_anything(client: httpx.AsyncClient, app: FastAPI, markdown: str) -> None:
    """Percent-encoded in the path, with slashes, marks of URLs and any letter."""
    await add(app, STRANGE, markdown)
    found = await client.get(path(STRANGE))
    assert (found.json()["incident"], found.json()["markdown"]) == (STRANGE, markdown)
    decided = await client.post(path(STRANGE, "/approve"), json={"by": "ada"})
    assert decided.json()["status"] == "approved"
    document = await client.get(path(STRANGE), headers={"accept": "text/markdown, application/json;q=0.1"})
    assert document.content == markdown.encode()


async def test_decisions_are_recorded_with_who_decided(client: httpx.AsyncClient, app: FastAPI) -> None:
    """For the incident, too; the last one counts."""
    await add(app, "inc_2", "# x")
    approved = (await client.post(path("inc_2", "/approve"), json={"by": "ada"})).json()
    assert (approved["status"], approved["reviewed_by"]) == ("approved", "ada")
    assert approved["reviewed_at"] is not None
    rejected = (await client.post(path("inc_2", "/reject"), json={"by": "bob"})).json()
    assert (rejected["status"], rejected["reviewed_by"]) == ("rejected", "bob")
    async with app.state.services.database.read() as session:
        review = await session.scalar(select(Incident.review).where(Incident.public_id == "inc_2"))
    assert review == "rejected"


async def test_a_decision_that_cannot_be_recorded_changes_nothing(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    """404 without incident or postmortem; a body that cannot be used is named."""
    await add(app, "inc_2", "# x")
    for decision in ("/approve", "/reject"):
        assert_problem(await client.post(path("inc_3", decision), json={"by": "ada"}), 404, "unknown")
        assert_problem(await client.post(path("inc_gone", decision), json={"by": "ada"}), 404, "unknown")
        detail = assert_problem(
            await client.post(path("inc_1", decision), json={"by": "ada"}), 404, "unknown"
        )
        assert "has no postmortem yet" in detail
        for by in ("", " ", "x" * 201, "a\nb"):
            detail = assert_problem(await client.post(path("inc_2", decision), json={"by": by}), 422, "body")
            assert detail.startswith("by: ")
        response = await client.post(path("inc_2", decision), json={"by": "ada", "at": "now"})
        assert "at: unknown field" in assert_problem(response, 422, "body")
        assert response.json()["errors"][0]["accepted"] == ["by"]
        assert (await client.post(path("inc_2", decision), content=b"by=ada")).status_code == 415
    found = (await client.get(path("inc_2"))).json()
    assert (found["status"], found["reviewed_by"]) == ("draft", None)
