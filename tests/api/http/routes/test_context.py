"""`POST /v1/context`: the prompt that would be sent, and nothing is sent."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from tests.loopback.messages_api import MessagesApi
from tests.support.http_service import QUESTION

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_prompt_is_the_one_that_a_question_sends(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """Same question and moment, same prompt and digest; building it calls no model."""
    body = {"question": QUESTION, "as_of": "2026-11-20T07:00:00Z"}
    response = await client.post("/v1/context", json=body)
    assert response.status_code == 200
    assert not messages_api.journal.requests
    prompt, manifest = response.json()["prompt"], response.json()["manifest"]
    whole = prompt["system"] + prompt["stable"] + prompt["user"]
    assert manifest["prompt_sha256"] == hashlib.sha256(whole.encode()).hexdigest()
    assert QUESTION in prompt["user"]
    answer = (await client.post("/v1/query", json=body)).json()
    (call,) = messages_api.messages
    sent = [block["text"] for block in call.body["messages"][0]["content"]]
    assert sent == [text for text in (prompt["stable"], prompt["user"]) if text]
    assert answer["manifest"]["prompt_sha256"] == manifest["prompt_sha256"]


async def test_every_fact_is_listed_with_what_became_of_it(client: httpx.AsyncClient) -> None:
    """Under a small budget facts are cut, counted by source, and still told."""
    body = {"question": "What happened?", "as_of": "2026-11-20T07:00:00Z", "token_budget": 1500}
    manifest = (await client.post("/v1/context", json=body)).json()["manifest"]
    kept = [fact for fact in manifest["facts"] if fact["detail"] in ("full", "short")]
    cut = [fact for fact in manifest["facts"] if fact["detail"] in ("counted", "cut")]
    assert kept
    assert all(fact["text"] and fact["tokens"] == 0 for fact in cut)
    assert sum(source["kept"] for source in manifest["sources"]) == len(kept)
    assert sum(source["cut"] for source in manifest["sources"]) == len(cut) > 0
    assert manifest["token_bound"] <= manifest["token_budget"]
