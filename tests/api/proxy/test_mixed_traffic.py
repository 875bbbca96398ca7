"""Requests that end in every way at once: each has one end, and nothing of them stays (C30)."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from tests.loopback.raw_upstream import CLOSE, HANG, RawUpstream, chunk, error, streamed, whole
from tests.support.proxied_streams import HEAD, START, STREAM
from tests.support.served_proxy import ServedProxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWERS = [
    whole(b'{"type":"message","model":"m","content":[]}'),
    streamed(START, STREAM),
    streamed(START),
    whole(b"<html>"),
    error(400, "invalid_request_error"),
    (HEAD, chunk(START), 0.01, CLOSE),
    (HEAD, chunk(START), 0.01, b"zz\r\n"),
    (HEAD, chunk(START), HANG),
    (HANG,),
]
HEADERS = b"POST /v1/messages HTTP/1.1\r\nhost: p\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
NO_GZIP = b"POST /v1/messages HTTP/1.1\r\nhost: p\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"


async def one(proxy: ServedProxy, chance: random.Random) -> None:
    """A request of some size, sent whole; its client may not wait for the answer."""
    size = chance.choice([10, 1_000, 100_000])
    whole_request = HEADERS % size + b" " * size
    reader, writer = await proxy.connect()
    writer.write(NO_GZIP if chance.random() < 0.1 else whole_request)
    with suppress(ConnectionError, TimeoutError):
        await writer.drain()
        async with asyncio.timeout(chance.choice([0.01, 0.05, 0.2])):
            await reader.read()
    writer.close()


async def wave(proxy: ServedProxy, upstream: RawUpstream, chance: random.Random, count: int) -> None:
    """So many requests, twenty at a time."""
    before = sum(proxy.ended.values())
    for _ in range(count // 20):
        upstream.script(*chance.choices(ANSWERS, k=20))
        await asyncio.gather(*(one(proxy, chance) for _ in range(20)))
    await proxy.until_ended(before + count)
    await upstream.until(lambda: upstream.busy == 0)


@pytest.mark.long
async def test_each_request_has_one_end_and_nothing_stays(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """As many ends as requests; tasks, files and objects are no more after many of them than after few."""
    chance = random.Random(7)  # noqa: S311
    upstream.default = ANSWERS[0]
    await wave(proxy, upstream, chance, 100)
    gc.collect()
    tasks, files = len(asyncio.all_tasks()), psutil.Process().num_fds()
    kinds = Counter(type(each).__name__ for each in gc.get_objects())
    await wave(proxy, upstream, chance, 300)
    assert sum(proxy.ended.values()) == 400
    assert len(proxy.ended) > 4
    assert proxy.proxy.recorder.in_flight == 0
    # Twenty connections to the upstream may be kept, with both of their ends in this process.
    assert len(asyncio.all_tasks()) <= tasks + 20
    assert psutil.Process().num_fds() <= files + 40
    gc.collect()
    upstream.requests.clear()
    grown = Counter(type(each).__name__ for each in gc.get_objects()) - kinds
    ours = ("Call", "ClientConnection", "Reply", "ReplyCapture", "Lifecycle", "ClientResponse", "Answer")
    assert {name: grown[name] for name in ours if grown[name] > 20} == {}
