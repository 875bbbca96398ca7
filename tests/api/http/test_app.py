"""The application as a whole: settings, shared services, its description."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from api import query_ai
from api.http.app import create_app
from api.settings import SettingsError
from models.errors import DatabaseNotMigrated
from tests.loopback.messages_api import MessagesApi
from tests.support.http_service import QUESTION, client_of, running, settings_of, wait_for_sources

Description = dict[str, Any]


@pytest.fixture
def description(tmp_path: Path) -> Description:
    return create_app(settings_of("sqlite:///none.db", tmp_path)).openapi()


def test_without_settings_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that cannot be used is named when the application is made, not when it is asked."""
    monkeypatch.setenv("ARCPOINT_MODEL", "claude-haiku-5-5")
    assert create_app().state.settings.model == "claude-haiku-5-5"
    monkeypatch.setenv("ARCPOINT_PORT", "many")
    with pytest.raises(SettingsError, match="ARCPOINT_PORT"):
        create_app()


async def test_it_does_not_start_on_a_database_without_schema(tmp_path: Path) -> None:
    """Starting fails with the remedy, and makes no file."""
    with pytest.raises(DatabaseNotMigrated, match="arcpoint db upgrade"):
        async with running(settings_of(f"sqlite:///{tmp_path / 'none.db'}", tmp_path)):
            pass
    assert not await asyncio.to_thread((tmp_path / "none.db").exists)


async def test_query_ai_inside_the_service_uses_its_services(
    sqlite_story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> None:
    """No second engine and no other settings: the environment names no database here, yet it answers."""
    async with running(settings_of(sqlite_story_url, tmp_path, messages_api)):
        answer = await query_ai(QUESTION)
    assert answer.model
    assert len(messages_api.messages) == 1


async def test_many_questions_at_once_on_postgresql(
    postgres_story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> None:
    """More questions than snapshots fit into the pool all get their own answer."""
    async with (
        running(settings_of(postgres_story_url, tmp_path, messages_api)) as app,
        client_of(app) as client,
    ):
        wait_for_sources(app)
        budgets = range(2000, 2030)
        calls = [
            client.post("/v1/query", json={"question": QUESTION, "token_budget": budget})
            for budget in budgets
        ]
        answers = [response.json() for response in await asyncio.gather(*calls)]
    assert [answer["manifest"]["token_budget"] for answer in answers] == list(budgets)
    assert all(answer["model"] for answer in answers)
    assert len({answer["id"] for answer in answers}) == len(answers) == len(messages_api.messages)
    statuses = {
        source["status"]
        for answer in answers
        for source in answer["manifest"]["sources"]
        if source["name"] != "recall"
    }
    # The story ends at a fixed moment, so its health reports are stale by now.
    assert statuses <= {"ok", "empty", "stale"}


def test_the_description_tells_every_route_body_and_response_with_an_example(
    description: Description,
) -> None:
    """Anyone who reads only the description can call the service and understand its errors."""
    operations = dict(operations_of(description))
    assert operations.keys() == {
        ("post", "/v1/query"), ("post", "/v1/context"), ("get", "/healthz"), ("get", "/readyz"),
        ("get", "/v1/deployments"), ("get", "/v1/incidents"), ("get", "/v1/incidents/active"),
        ("get", "/v1/incidents/{incident_id}/postmortem"), ("post", "/v1/incidents/{incident_id}/postmortem"),
        ("post", "/v1/incidents/{incident_id}/postmortem/approve"),
        ("post", "/v1/incidents/{incident_id}/postmortem/reject"), ("get", "/v1/memory/search"),
        ("get", "/v1/requests"),
        ("get", "/v1/requests/{request_id}"), ("get", "/v1/users/{user_id}/context"), ("get", "/v1/latency"),
        ("get", "/v1/quality"), ("get", "/v1/volume"), ("get", "/v1/conversations/{conversation_id}"),
        ("post", "/v1/ingest/{name}"), ("get", "/v1/pollers"), ("get", "/v1/spend"),
        ("get", "/v1/audit"),
        ("post", "/v1/route"), ("get", "/v1/risk"), ("get", "/v1/risk/events"), ("get", "/metrics"),
    }  # fmt: skip
    for operation in operations.values():
        assert operation["description"]
        for content in contents_of(operation):
            assert examples_of(content, description)
    for path in ("/v1/query", "/v1/context"):
        assert operations["post", path]["responses"].keys() == {
            "200", "400", "401", "403", "408", "413", "415", "422", "429", "500", "503",
        }  # fmt: skip


@pytest.mark.long
def test_every_example_is_valid_under_the_schema_beside_it(description: Description) -> None:
    """Examples that do not hold teach callers the wrong thing."""
    checked = 0
    for _, operation in operations_of(description):
        for content in contents_of(operation):
            for example in examples_of(content, description) if "schema" in content else []:
                assert not list(errors_of(example, content["schema"], description))
                checked += 1
    assert checked > 15
    wrong = {"question": 7}
    assert list(errors_of(wrong, {"$ref": "#/components/schemas/QuestionBody"}, description))


async def test_what_is_sent_is_what_the_description_says(
    sqlite_story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> None:
    """Answers, contexts, health and problems are valid under their own schemas."""
    async with (
        running(settings_of(sqlite_story_url, tmp_path, messages_api)) as app,
        client_of(app) as client,
    ):
        description = (await client.get("/openapi.json")).json()
        operations = dict(operations_of(description))
        for (method, path), body in [
            (("post", "/v1/query"), {"question": QUESTION}),
            (("post", "/v1/context"), {"question": QUESTION}),
            (("post", "/v1/context"), {"question": ""}),
            (("post", "/v1/context"), {"scope": {"tier": 1}}),
            (("get", "/healthz"), None),
            (("get", "/readyz"), None),
        ]:
            response = await client.request(method, path, json=body)
            content = operations[method, path]["responses"][str(response.status_code)]["content"]
            schema = content[response.headers["content-type"]]["schema"]
            assert not list(errors_of(response.json(), schema, description))


async def test_ids_of_requests_go_in_and_out(sqlite_url: str, tmp_path: Path) -> None:
    """A caller's id is kept where it is harmless; else each request gets one of its own."""
    async with running(settings_of(sqlite_url, tmp_path)) as app, client_of(app) as client:
        assert await id_of(client, "trace-7/a.b") == "trace-7/a.b"
        made = [
            await id_of(client, given) for given in ("", "a b", "x" * 129, 'a","level":"x', "é", None, None)
        ]
    assert len(set(made)) == len(made)
    assert all(len(each) == 32 for each in made)


async def id_of(client: httpx.AsyncClient, given: str | None) -> str:
    headers = {} if given is None else {b"x-request-id": given.encode()}
    return str((await client.get("/healthz", headers=headers)).headers["x-request-id"])


def operations_of(description: Description) -> Iterator[tuple[tuple[str, str], Description]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield (method, path), operation


def contents_of(operation: Description) -> Iterator[Description]:
    """The media types of the body and of all responses."""
    yield from operation.get("requestBody", {}).get("content", {}).values()
    for response in operation["responses"].values():
        yield from response["content"].values()


def examples_of(content: Description, description: Description) -> list[Any]:
    if "example" in content:
        return [content["example"]]
    name = content["schema"]["$ref"].rpartition("/")[2]
    examples: list[Any] = description["components"]["schemas"][name]["examples"]
    return examples


def errors_of(value: Any, schema: Description, description: Description) -> Iterator[Any]:
    whole = schema | {"components": description["components"]}
    assert validator_for(whole, default=Draft202012Validator) is Draft202012Validator
    validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    yield from validator.iter_errors(value)
