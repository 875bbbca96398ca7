"""`POST /v1/query` with a model behind it: whole answers and server-sent events."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import api.http.event_stream
from api.http.accept import wants_events
from context_builder.answering import Answerer
from tests.loopback.messages_api import BreakOff, Fail, Hang, MessagesApi, Reply
from tests.support.http_service import QUESTION, client_of, events_of, running, settings_of
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENTS = {"accept": "text/event-stream"}
BODY = {"question": QUESTION}


async def test_an_answer_comes_whole_with_its_citations_cost_and_manifest(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """One call to the model; every citation is a fact of the manifest; money is exact text."""
    response = await client.post("/v1/query", json=BODY)
    answer = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert len(messages_api.messages) == 1
    assert answer["question"] == QUESTION
    assert answer["model"] == messages_api.messages[0].body["model"]
    assert (answer["stop_reason"], answer["no_model_reason"]) == ("end_turn", None)
    manifest = answer["manifest"]
    shown = {fact["ref"]: fact["text"] for fact in manifest["facts"] if fact["detail"] != "cut"}
    shown |= {source["ref"]: source["header"] for source in manifest["sources"]}
    assert answer["citations"]
    assert all(shown[citation["ref"]] == citation["text"] for citation in answer["citations"])
    assert Decimal(answer["cost_usd"]) > 0
    assert answer["usage"]["input_tokens"] <= manifest["token_bound"] <= manifest["token_budget"]


async def test_what_the_body_says_reaches_the_context(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """Moment, window, scope, budget and user all take effect."""
    body = {
        "question": "How slow is it?",
        "user": "user_nobody",
        "as_of": "2026-11-19T12:00:00+02:00",
        "since": "2026-11-19T08:00:00Z",
        "until": "2026-11-19T09:00:00Z",
        "scope": {"tiers": ["premium"]},
        "token_budget": 1500,
    }
    manifest = (await client.post("/v1/query", json=body)).json()["manifest"]
    assert manifest["as_of"] == "2026-11-19T10:00:00Z"
    assert manifest["live"] is False
    assert (manifest["window"]["start"], manifest["window"]["end"]) == (
        "2026-11-19T08:00:00Z",
        "2026-11-19T09:00:00Z",
    )
    assert manifest["scope"] == ["tier premium"]
    assert manifest["token_bound"] <= manifest["token_budget"] == 1500
    assert [unknown["name"] for unknown in manifest["unknown_names"]] == ["user_nobody"]


async def test_events_are_the_context_then_words_then_the_answer(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """The words put together are the answer's text, which is the same document as without streaming."""
    messages_api.always(Reply(text="Läuft. Zwei Zeilen:\n\n- eins [I0]\r- zwei 🙂", piece_length=3))
    whole = (await client.post("/v1/query", json=BODY)).json()
    response = await client.post("/v1/query", json=BODY, headers=EVENTS)
    context, *deltas, answer = events_of(response.text)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert context.name == "context"
    assert len(deltas) > 5
    assert {delta.name for delta in deltas} == {"delta"}
    assert "".join(delta.data["text"] for delta in deltas) == answer.data["text"] == whole["text"]
    assert answer.name == "answer"
    assert answer.data.keys() == whole.keys()
    assert answer.data["manifest"] == context.data


async def test_words_arrive_while_the_model_still_writes(service: FastAPI, messages_api: MessagesApi) -> None:
    """The context is sent before the model has said a word, each word before the next."""
    messages_api.script(Hang(seconds=30, after_pieces=1))
    seen = asyncio.Queue[bytes]()
    scope = {
        "type": "http", "method": "POST", "path": "/v1/query", "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"accept", b"text/event-stream")],
        "client": None, "server": ("/a/socket", None),
    }  # fmt: skip
    left = asyncio.Event()
    parts = iter([{"type": "http.request", "body": b'{"question": "Which are slow?"}'}])

    async def receive() -> dict[str, Any]:
        if part := next(parts, None):
            return part
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        seen.put_nowait(message.get("body", b""))

    call = asyncio.create_task(service(scope, receive, send))
    async with asyncio.timeout(PATIENCE_S):
        assert await seen.get() == b""
        assert (await seen.get()).startswith(b"event: context\n")
        assert (await seen.get()).startswith(b"event: delta\n")
        left.set()
        await call
        await messages_api.until(lambda journal: journal.disconnects == 1 and journal.open_streams == 0)


async def test_a_model_that_breaks_off_leaves_an_answer_that_says_so(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """What was streamed came to nothing; the answer is a brief with the reason, in both forms."""
    messages_api.script(BreakOff(after_pieces=2), Fail(status=529))
    *_, answer = events_of((await client.post("/v1/query", json=BODY, headers=EVENTS)).text)
    assert answer.name == "answer"
    assert answer.data["model"] is None
    assert "broke off" in answer.data["no_model_reason"]
    whole = await client.post("/v1/query", json=BODY)
    assert whole.status_code == 200
    assert "overloaded" in whole.json()["no_model_reason"]


async def test_silence_is_filled_with_comments(
    client: httpx.AsyncClient, messages_api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that closes idle connections sees one that is not, and clients ignore it."""
    monkeypatch.setattr(api.http.event_stream, "KEEP_ALIVE_S", 0.05)
    messages_api.script(Hang(seconds=0.4))
    text = (await client.post("/v1/query", json=BODY, headers=EVENTS)).text
    assert text.count(": ping\n\n") >= 3
    assert [event.name for event in events_of(text)][-1] == "answer"


async def test_an_unforeseen_error_after_the_context_is_an_event(
    client: httpx.AsyncClient, messages_api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream ends with a problem document without the error's own words."""

    def broken(*_: object) -> None:
        raise RuntimeError("sk-secret")

    monkeypatch.setattr(Answerer, "check", broken)
    response = await client.post("/v1/query", json=BODY, headers=EVENTS)
    *_, error = events_of(response.text)
    assert error.name == "error"
    assert error.data["status"] == 500
    assert error.data["request_id"] == response.headers["x-request-id"]
    assert "sk-secret" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.asyncio(loop_scope="function")
async def test_without_a_model_the_answer_is_a_brief_and_there_are_no_words_before_it(
    sqlite_story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> None:
    """Nothing leaves the machine, and the answer says why."""
    async with running(settings_of(sqlite_story_url, tmp_path)) as app, client_of(app) as client:
        events = events_of((await client.post("/v1/query", json=BODY, headers=EVENTS)).text)
    assert [event.name for event in events] == ["context", "answer"]
    assert events[-1].data["model"] is None
    assert "ARCPOINT_ANTHROPIC_API_KEY" in events[-1].data["no_model_reason"]
    assert not messages_api.journal.requests


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("application/json, text/event-stream", True),
        ("text/event-stream;q=0.5, application/json;q=0.4", True),
        ("text/event-stream;q=0.5, application/json", False),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=no", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
        (",;,q=", False),
    ],
)
async def test_events_are_sent_only_where_they_are_asked_for(accept: str, wanted: bool) -> None:
    """The Accept header names them and does not like JSON better."""
    assert wants_events(accept) is wanted
