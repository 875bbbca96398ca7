"""An answer is given again only to the very same request, where the operator wants that (C25, C26)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from multidict import CIMultiDict
from sqlalchemy import select

from api.proxy.call import Call
from api.proxy.client.credentials import Senders
from api.proxy.forwarding.answer_cache import TTL_S, AnswerCache
from api.proxy.forwarding.upstream import Upstream
from context_builder.conversation.rewriter import ProxiedRequest, Rewrite
from models import ProxyCall, Request
from models.database import Database
from tests.loopback.raw_upstream import Answer, RawUpstream, error, raw_upstream, streamed, whole
from tests.support.proxied_streams import STREAM
from tests.support.served_proxy import ServedProxy, served_proxy

ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5", "max_tokens": 9, "temperature": 0,
    "messages": [{"role": "user", "content": "Say it."}],
}  # fmt: skip
HEADERS = {"x-api-key": "sk-ant-one", "anthropic-version": "2023-06-01"}
MESSAGE = whole(
    b'{"type":"message","model":"claude-haiku-5-5","content":[{"type":"text","text":"It"}],'
    b'"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}}',
    headers={"request-id": "req_first", "anthropic-ratelimit-requests-remaining": "3"},
)


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        upstream.default = MESSAGE
        yield upstream


@pytest.fixture
async def proxy(upstream: RawUpstream) -> AsyncIterator[ServedProxy]:
    database = Database("sqlite:////none/none.db")
    async with served_proxy(database, upstream.url, read_only=True, proxy_cache_mb=1) as proxy:
        yield proxy
    await database.close()


async def twice(
    proxy: ServedProxy, first: dict[str, Any] = ASK, second: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None, query: str = "",
) -> list[httpx.Response]:  # fmt: skip
    """The answers to two requests."""
    async with proxy.client() as client:
        return [
            await client.post("/v1/messages", json=first, headers=HEADERS),
            await client.post(
                f"/v1/messages{query}", json=second or first, headers=HEADERS | (headers or {})
            ),
        ]


async def test_the_same_request_is_answered_once_by_the_upstream(
    proxy: ServedProxy, upstream: RawUpstream
) -> None:
    """The same bytes, marked, with an id of its own and no limits of an earlier request."""
    first, again = await twice(proxy)
    assert len(upstream.requests) == 1
    assert again.content == first.content
    assert "x-arcpoint-cache" not in first.headers
    assert (again.headers["x-arcpoint-cache"], again.headers["cache-control"]) == ("hit", "private, no-store")
    assert again.headers["request-id"] == again.headers["x-arcpoint-request-id"] != "req_first"
    assert not [name for name in again.headers if name.startswith("anthropic-ratelimit")]
    assert proxy.ended == {"completed": 1, "cache_hit": 1}


OTHERS: dict[str, dict[str, Any]] = {
    "another key": {"headers": {"x-api-key": "sk-ant-two"}},
    "another version": {"headers": {"anthropic-version": "2026-10-21"}},
    "a beta": {"headers": {"anthropic-beta": "new"}},
    "another workspace": {"headers": {"anthropic-workspace-id": "w"}},
    "a query": {"query": "?beta=true"},
    "another prompt": {"second": ASK | {"messages": [{"role": "user", "content": "Say it!"}]}},
    "a system prompt": {"second": ASK | {"system": "x"}},
    "another order of fields": {"second": dict(reversed(ASK.items()))},
    "a wish for a new answer": {"headers": {"x-arcpoint-cache": "off"}},
}


@pytest.mark.parametrize("other", OTHERS)
async def test_another_request_gets_an_answer_of_its_own(
    proxy: ServedProxy, upstream: RawUpstream, other: str
) -> None:
    """However little differs: nothing that is only alike is given (C26)."""
    await twice(proxy, **OTHERS[other])
    assert len(upstream.requests) == 2
    assert "x-arcpoint-cache" not in upstream.requests[-1].names


NOT_KEPT: dict[str, tuple[dict[str, Any], Answer]] = {
    "a stream": (ASK | {"stream": True}, streamed(STREAM)),
    "a stream that nobody asked for": (ASK, streamed(STREAM)),
    "tools": (ASK | {"tools": [{"name": "a", "input_schema": {}}]}, MESSAGE),
    "a temperature": (ASK | {"temperature": 0.5}, MESSAGE),
    "no temperature": ({name: ASK[name] for name in ("model", "max_tokens", "messages")}, MESSAGE),
    "false for a temperature": (ASK | {"temperature": False}, MESSAGE),
    "an error": (ASK, error(400, "invalid_request_error")),
    "no message": (ASK, whole(b"{}")),
    "another status": (ASK, whole(b'{"type":"message","content":[]}', 201)),
    "more than there is room for": (ASK, whole(json.dumps({"type": "message", "x": "a" * 2**20}).encode())),
}


@pytest.mark.parametrize("case", NOT_KEPT)
async def test_what_is_not_a_complete_repeatable_answer_is_not_kept(
    proxy: ServedProxy, upstream: RawUpstream, case: str
) -> None:
    """Both requests reach the upstream."""
    body, upstream.default = NOT_KEPT[case]
    await twice(proxy, body)
    assert len(upstream.requests) == 2


async def test_nothing_is_kept_unless_a_size_is_set(upstream: RawUpstream) -> None:
    """It is off by default (C25)."""
    database = Database("sqlite:////none/none.db")
    async with served_proxy(database, upstream.url, read_only=True) as proxy:
        await twice(proxy)
    await database.close()
    assert len(upstream.requests) == 2


async def test_a_repeated_answer_is_recorded_as_one(database: Database, upstream: RawUpstream) -> None:
    """It costs nothing, counts no tokens, and is no request to a deployment."""
    async with served_proxy(database, upstream.url, proxy_cache_mb=1, proxy_rewrites=False) as proxy:
        await twice(proxy)
        await proxy.until_stored()
    async with database.read() as session:
        calls = {call.state: call for call in await session.scalars(select(ProxyCall))}
        assert len(list(await session.scalars(select(Request)))) == 1
    hit = calls["cache_hit"]
    assert (hit.model, hit.upstream, hit.status, hit.error) == ("claude-haiku-5-5", None, 200, None)
    assert (hit.input_tokens, hit.cost_usd) == (None, Decimal(0))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def called(text: str, upstream: Upstream) -> Call:
    call = Call("req_1", "POST", "/v1/messages", "/v1/messages", CIMultiDict())
    call.sender = Senders(b"k").sender_of("sk-ant-x")
    call.request = ProxiedRequest(call.path, call.headers, text.encode(), call.sender.credential)
    call.sent = Rewrite(text.encode())
    return call


def test_answers_grow_old_and_take_no_more_than_their_room() -> None:
    """The least recently used goes first; another upstream has answers of its own."""
    clock, here, there = Clock(), Upstream("a", "http://a"), Upstream("a", "http://b")
    cache = AnswerCache(10_000, clock)
    calls = [called(str(number), here) for number in range(9)]
    for call in calls:
        cache.keep(call, here, [(b"Content-Type", b"a/b")], b"x" * 500)
        assert cache.find(calls[0], here), "what is used stays"
        assert cache.bytes <= 10_000
    found = [number for number, call in enumerate(calls) if cache.find(call, here)]
    assert found == [0, 7, 8]
    assert cache.find(calls[0], there) is None
    clock.now = TTL_S
    assert not any(cache.find(call, here) for call in calls)
    assert cache.bytes == 0
