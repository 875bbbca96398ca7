"""Bodies that are odd, deep or huge, through the proxy that rewrites, while there is something to insert."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from context_builder.text.clock import utc_now
from models.database import Database
from tests.loopback.raw_upstream import RawUpstream, raw_upstream, whole
from tests.support.gateway import Gateway
from tests.support.proxied_chat import breaks
from tests.support.served_proxy import ServedProxy, served_proxy

DEAD = "gpt-4/aws"
MARK = "=== gateway context"
OK = whole(b'{"type":"message","model":"m","content":[]}')


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        upstream.default = OK
        yield upstream


@pytest.fixture
async def proxy(database: Database, upstream: RawUpstream) -> AsyncIterator[ServedProxy]:
    await Gateway(database).deployment(DEAD, "gpt-4/azure")
    await breaks(database, DEAD, utc_now())
    async with served_proxy(database, upstream.url, proxy_deadline_s=10.0) as proxy:
        yield proxy


def asking(content: bytes) -> bytes:
    return b'{"model":"m", "max_tokens":1.0,"messages":[{"role":"user","content":%b}]}' % content


MANY = b",".join([b'{"role":"user","content":"a"},{"role":"assistant","content":"b"}'] * 50_000)
HOSTILE = {
    "half a surrogate pair": asking(rb'"\ud83d"'),
    "half a pair in a block": asking(rb'[{"type":"text","text":"a\udc00"}]'),
    "a hundred thousand levels": asking(b"[" * 100_000 + b"]" * 100_000),
    "levels without end": asking(b'[{"a":' * 200_000),
    "a hundred thousand messages": b'{"model":"m","messages":[' + MANY + b"]}",
    "not UTF-8": asking(b'"\xff\xfe"'),
    "NUL": asking(b'"\x00"'),
    "no JSON at all": b"\x1f\x8b\x08 garbage",
    "nothing": b"",
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_what_cannot_be_rewritten_arrives_as_it_was_sent(
    proxy: ServedProxy, upstream: RawUpstream, what: str
) -> None:
    """It is the upstream's to refuse, by its own words (C1)."""
    async with proxy.client() as client:
        response = await client.post("/v1/messages", content=HOSTILE[what])
    assert response.status_code == 200
    (arrived,) = upstream.requests
    assert arrived.body == HOSTILE[what]
    await proxy.until_ended(1)
    assert proxy.ended == {"completed": 1}


CACHED = {"cache_control": {"type": "ephemeral"}}
REQUEST: dict[str, Any] = {
    "model": "m",
    "unknown_field": {"a": [1.0, 12345678901234567890]},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=1"},
        {"type": "text", "text": "You help.", **CACHED},
    ],
    "tools": [{"name": "add", "input_schema": {"type": "object"}, **CACHED}],
    "messages": [
        {"role": "user", "content": [{"type": "new_kind", "x": 1}, {"type": "text", "text": "a", **CACHED}]},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "And now?", **CACHED}]},
    ],
}


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_what_is_inserted_is_all_that_changes(
    proxy: ServedProxy, upstream: RawUpstream, coding: str
) -> None:
    """Unknown parts, breakpoints, system, tools; a compressed body is sent plain (C2, C10, C12, C13)."""
    body = json.dumps(REQUEST).encode()
    headers = {"x-unknown": "1", "anthropic-beta": "new-2027"} | (
        {"content-encoding": coding} if coding else {}
    )
    async with proxy.client() as client:
        await client.post("/v1/messages", content=gzip.compress(body) if coding else body, headers=headers)
    (arrived,) = upstream.requests
    assert (arrived.values("x-unknown"), arrived.values("anthropic-beta")) == (["1"], ["new-2027"])
    assert "content-encoding" not in arrived.names
    sent = json.loads(arrived.body)
    inserted = sent["messages"][-1]["content"].pop()
    assert inserted.keys() == {"type", "text"}
    assert MARK in inserted["text"]
    assert sent == REQUEST
    for part in ("system", "tools"):
        assert json.dumps(REQUEST[part]).encode() in arrived.body
