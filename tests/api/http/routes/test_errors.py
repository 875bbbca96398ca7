"""Errors of every route as problem documents."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from api.http.middleware.body_limit import MAX_BODY_BYTES
from context_builder.answering import Answerer
from tests.loopback.messages_api import MessagesApi
from tests.support.http_service import QUESTION

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
PATHS = ["/v1/query", "/v1/context"]


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The response is a whole problem document; gives it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["type"]
    assert problem["title"]
    assert problem["detail"]
    assert "\n" not in problem["detail"]
    assert problem["instance"] == response.request.url.path
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"question",
        b'{"question": "\xff"}',
        b"[" * 100_000,
        b'{"token_budget": ' + b"9" * 5000 + b"}",
        b"\0",
    ],
    ids=["cut off", "no JSON", "no UTF-8", "too deep", "too long a number", "zero"],
)
async def test_what_is_no_json_is_told_so(client: httpx.AsyncClient, path: str, content: bytes) -> None:
    """400, with the place where the parser knows it."""
    problem = assert_problem(await client.post(path, content=content, headers=JSON), 400)
    assert problem["type"] == "urn:arcpoint:problem:malformed-json"
    assert "errors" not in problem


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("told", [True, False], ids=["announced", "in chunks"])
async def test_a_body_over_the_limit_is_refused_however_it_is_sent(
    client: httpx.AsyncClient, path: str, told: bool
) -> None:
    """413 from its announced length, and from counting where none is announced."""
    body = json.dumps({"question": QUESTION, "user": "x" * MAX_BODY_BYTES}).encode()
    content = body if told else _chunks(body)
    problem = assert_problem(await client.post(path, content=content, headers=JSON), 413)
    assert "1,000,000 bytes" in problem["detail"]


async def test_a_body_of_exactly_the_limit_is_read(client: httpx.AsyncClient) -> None:
    """The limit itself is accepted."""
    body = json.dumps({"question": QUESTION}).encode()
    padded = body + b" " * (MAX_BODY_BYTES - len(body))
    assert (await client.post("/v1/context", content=padded, headers=JSON)).status_code == 200
    assert_problem(await client.post("/v1/context", content=padded + b" ", headers=JSON), 413)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/json-seq", "", None, ";"]
)
async def test_another_content_type_is_refused(
    client: httpx.AsyncClient, path: str, content_type: str | None
) -> None:
    """415, even where the bytes are JSON: a browser's form must not be able to ask questions."""
    headers = {} if content_type is None else {"content-type": content_type}
    body = json.dumps({"question": QUESTION}).encode()
    assert_problem(await client.post(path, content=body, headers=headers), 415)


async def test_json_may_say_its_charset(client: httpx.AsyncClient) -> None:
    """Parameters of the content type do not matter."""
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    body = json.dumps({"question": QUESTION}).encode()
    assert (await client.post("/v1/context", content=body, headers=headers)).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "question", "field required"),
        ([], "", "a JSON object"),
        (None, "", "a JSON object"),
        ("Why?", "", "a JSON object"),
        ({"question": 7}, "question", "valid string"),
        ({"question": None}, "question", "valid string"),
        ({"question": "Why?", "user": ["a"]}, "user", "valid string"),
        ({"question": "Why?", "as_of": 1_700_000_000}, "as_of", "2026-11-20T08:00:00Z"),
        ({"question": "Why?", "since": "yesterday"}, "since", "2026-11-20T08:00:00Z"),
        ({"question": "Why?", "scope": "gpt-4"}, "scope", "valid dictionary"),
        ({"question": "Why?", "scope": {"tiers": "premium"}}, "scope.tiers", "valid list"),
        ({"question": "Why?", "scope": {"tiers": [None]}}, "scope.tiers.0", "valid string"),
        ({"question": "Why?", "token_budget": "4000"}, "token_budget", "valid integer"),
        ({"question": "Why?", "token_budget": True}, "token_budget", "valid integer"),
    ],
)
async def test_a_field_of_the_wrong_kind_is_named_with_what_it_takes(
    client: httpx.AsyncClient, path: str, body: Any, field: str, message: str
) -> None:
    """422 with one entry per field; the values themselves are not repeated."""
    response = await client.post(path, content=json.dumps(body), headers=JSON)
    problem = assert_problem(response, 422)
    assert problem["type"] == "urn:arcpoint:problem:body"
    (error,) = problem["errors"]
    assert error["field"] == field
    assert message in error["message"]


@pytest.mark.parametrize(
    ("extra", "field", "accepted"),
    [
        ({"budget": 1}, "budget", "token_budget"),
        ({"scope": {"tier": ["premium"]}}, "scope.tier", "tiers"),
        ({"x" * 5000: 1}, "x" * 80, "question"),
        ({"two\nlines": 1}, "two\nlines", "question"),
    ],
)
async def test_an_unknown_field_is_refused_with_those_that_exist(
    client: httpx.AsyncClient, extra: dict[str, Any], field: str, accepted: str
) -> None:
    """A misspelled field is never ignored, or a narrow question would be answered broadly."""
    content = json.dumps({"question": QUESTION} | extra).encode()
    problem = assert_problem(await client.post("/v1/query", content=content, headers=JSON), 422)
    (error,) = problem["errors"]
    assert error["field"] == field
    assert accepted in error["accepted"]


async def test_a_body_full_of_unknown_fields_gets_a_short_answer(client: httpx.AsyncClient) -> None:
    """The answer does not grow with what is wrong."""
    body = {f"field{number}": number for number in range(20_000)}
    response = await client.post("/v1/query", json=body)
    assert len(assert_problem(response, 422)["errors"]) == 20
    assert len(response.content) < 10_000


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question": "  "}, "the question is empty"),
        ({"question": "x" * 4001}, "at most 4,000"),
        ({"question": "a\x00b"}, "U+0000"),
        ({"question": "\ud83d why"}, "U+D83D"),
        ({"question": "?!"}, "contains no words"),
        ({"as_of": "2026-11-20T08:00:00"}, "no time zone"),
        ({"as_of": "2999-01-01T00:00:00Z"}, "in the future"),
        ({"as_of": "0001-01-01T00:00:00+14:00"}, "from 1970 on"),
        ({"since": "2026-11-20T08:00:00Z", "until": "2026-11-20T07:00:00Z"}, "is empty"),
        ({"token_budget": 499}, "500 to 1,000,000"),
        ({"token_budget": 10**30}, "500 to 1,000,000"),
        ({"scope": {"tiers": ["gold"]}}, "premium"),
        ({"scope": {"deployments": ["gpt-9/moon"]}}, "deployment 'gpt-9/moon' is not known; known names"),
        ({"scope": {"users": ["nobody"]}}, "known names include user_"),
        ({"scope": {"incidents": ["nothing"]}}, "known names include inc_"),
        ({"scope": {"users": ["a\ud800"]}}, "cannot be a name"),
        ({"scope": {"models": ["m"] * 101}}, "at most 100"),
        ({"user": "\x00"}, "cannot be a name"),
        ({"user": "u" * 101}, "1 to 100 characters"),
    ],
)
async def test_a_question_that_cannot_be_used_is_told_why(
    client: httpx.AsyncClient, messages_api: MessagesApi, path: str, changes: dict[str, Any], said: str
) -> None:
    """422 with the resolver's sentence; no model is called."""
    content = json.dumps({"question": QUESTION} | changes).encode()
    for accept in ("application/json", "text/event-stream"):
        response = await client.post(path, content=content, headers=JSON | {"accept": accept})
        problem = assert_problem(response, 422)
        assert problem["type"] == "urn:arcpoint:problem:question"
        assert said in problem["detail"]
    assert not messages_api.journal.requests


async def test_an_unknown_path_or_method_is_told_what_there_is(client: httpx.AsyncClient) -> None:
    """404 and 405, the latter with its Allow header."""
    assert "/openapi.json" in assert_problem(await client.get("/v2/query"), 404)["detail"]
    response = await client.get("/v1/query")
    assert "POST" in assert_problem(response, 405)["detail"]
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_fault_of_ours_gives_away_nothing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    """500 without message, type or traceback; the log has them under the same id."""

    def broken(*_: object, **__: Any) -> None:
        raise RuntimeError("sk-secret")

    monkeypatch.setattr(Answerer, "answer", broken)
    monkeypatch.setattr(Answerer, "stream", broken)
    headers = {"x-request-id": "fault-1", "accept": accept}
    with capture_logs() as logged:
        response = await client.post("/v1/query", json={"question": QUESTION}, headers=headers)
    assert_problem(response, 500)
    assert "sk-secret" not in response.text
    assert "RuntimeError" not in response.text
    (fault,) = [line for line in logged if line["log_level"] == "error"]
    assert str(fault["exc_info"]) == "sk-secret"
    assert fault["request_id"] == "fault-1"


names = st.sampled_from(["gpt-4/aws", "premium", "user_acme", "inc_0101", "", "\x00", "ü"]) | st.text(
    max_size=9
)
scopes = st.dictionaries(
    st.sampled_from(["deployments", "models", "backends", "tiers", "users", "incidents"]),
    st.lists(names, max_size=3),
    max_size=3,
)
last_week = st.datetimes(min_value=datetime(2026, 11, 13), max_value=datetime(2026, 11, 20))  # noqa: DTZ001 - hypothesis wants naive bounds
moments = (last_week | st.datetimes()).map(lambda moment: f"{moment.isoformat()}Z") | st.text(max_size=30)
near_bodies = st.fixed_dictionaries(
    {
        "question": st.sampled_from([QUESTION, "Why were users slow in the last 3 days?"])
        | st.text(max_size=60)
    },
    optional={
        "user": st.none() | names,
        "as_of": st.none() | moments,
        "since": st.none() | moments,
        "until": st.none() | moments,
        "scope": st.none() | scopes,
        "token_budget": st.none() | st.integers(min_value=400, max_value=10**6) | st.integers(),
    },
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(body=near_bodies | values | st.dictionaries(st.sampled_from(["question", "scope"]), values))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_json_whatever_breaks_the_service(client: httpx.AsyncClient, body: Any) -> None:
    """Every body is answered or refused with a problem document, never with a fault of ours."""
    # As text the way other languages write it, lone surrogates, NaN and infinity included.
    response = await client.post("/v1/context", content=json.dumps(body).encode(), headers=JSON)
    if response.status_code != 200:
        assert response.status_code in (400, 422), response.text
        assert_problem(response, response.status_code)


@given(content=st.binary(max_size=300))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_bytes_whatever_break_the_service(client: httpx.AsyncClient, content: bytes) -> None:
    """Every body of bytes is refused with a problem document."""
    response = await client.post("/v1/query", content=content, headers=JSON)
    assert_problem(response, response.status_code)
    assert response.status_code in (400, 422)
