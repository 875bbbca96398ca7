"""Streams: the client's bytes are the upstream's, in time, however they are split and end."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from api.proxy.lifecycle import State
from tests.loopback.raw_upstream import ABORT, CLOSE, Answer, RawUpstream, Step, chunk, streamed, whole
from tests.loopback.wire import event
from tests.support.patience import PATIENCE_S
from tests.support.proxied_streams import HEAD, START, STREAM
from tests.support.served_proxy import ServedProxy

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("size", [1, 7, 1000, len(STREAM)])
async def test_a_stream_arrives_byte_for_byte(proxy: ServedProxy, upstream: RawUpstream, size: int) -> None:
    """In any pieces, with every kind of delta, pings and unknown events (C6, C7)."""
    upstream.script(streamed(*(STREAM[start : start + size] for start in range(0, len(STREAM), size))))
    async with proxy.client() as client:
        assert (await client.post("/v1/messages", content=b"{}")).content == STREAM
    await proxy.until_ended(1)
    assert proxy.ended == {"completed": 1}


async def test_a_ping_reaches_the_client_before_anything_else_is_sent(
    proxy: ServedProxy, upstream: RawUpstream
) -> None:
    """The upstream goes on only when the client has it: nothing is held back (C7)."""
    seen = asyncio.Event()
    upstream.script((HEAD, chunk(event("ping")), seen, chunk(STREAM), b"0\r\n\r\n"))
    async with proxy.client() as client, client.stream("POST", "/v1/messages", content=b"{}") as response:
        parts = response.aiter_raw()
        assert await anext(parts) == event("ping")
        seen.set()
        assert b"".join([part async for part in parts]) == STREAM


OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
ENDS: dict[str, tuple[Answer, State, bytes]] = {
    "an error within it": (streamed(START, OVERLOADED), State.STREAM_ERROR, START + OVERLOADED),
    "no message_stop": (streamed(START), State.TRUNCATED, START),
    "no event at all": (streamed(b": \n\n"), State.TRUNCATED, b": \n\n"),
    "an error status": (whole(b'{"type":"error"}', 404), State.UPSTREAM_ERROR, b'{"type":"error"}'),
    "no message": (whole(b"<html>"), State.UPSTREAM_ERROR, b"<html>"),
}


@pytest.mark.parametrize("end", ENDS)
async def test_what_ends_badly_is_passed_on_and_counted_as_what_it_is(
    proxy: ServedProxy, upstream: RawUpstream, end: str
) -> None:
    """The same bytes, asked for once, and the right final state (C8)."""
    answer, state, body = ENDS[end]
    upstream.script(answer)
    async with proxy.client() as client:
        assert (await client.post("/v1/messages", content=b"{}")).content == body
    await proxy.until_ended(1)
    assert proxy.ended == {state.value: 1}
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("last", [CLOSE, ABORT, b"zz\r\n", b"-1\r\n", b"\x00" * 9])
async def test_a_stream_that_breaks_off_breaks_off_for_the_client(
    proxy: ServedProxy, upstream: RawUpstream, last: Step
) -> None:
    """It gets what there was and no proper end, so it does not take half an answer for a whole one (C8)."""
    upstream.script((HEAD, chunk(START), 0.05, last))
    got = b""
    async with proxy.client() as client, client.stream("POST", "/v1/messages", content=b"{}") as response:
        with pytest.raises(httpx.RemoteProtocolError):
            async for part in response.aiter_raw():
                got += part
    await proxy.until_ended(1)
    assert got == START
    assert proxy.ended == {"truncated": 1}


async def test_two_hundred_streams_flow_at_the_same_time(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """All of them are open before the first one goes on."""
    go_on = asyncio.Event()
    upstream.default = (HEAD, chunk(START), go_on, chunk(STREAM), b"0\r\n\r\n")
    async with proxy.client(limits=httpx.Limits(max_connections=None)) as client, asyncio.timeout(PATIENCE_S):
        calls = [asyncio.create_task(client.post("/v1/messages", content=b"{}")) for _ in range(200)]
        await upstream.until(lambda: len(upstream.requests) == 200, PATIENCE_S)
        assert proxy.proxy.recorder.in_flight == 200
        go_on.set()
        assert {(await call).content for call in calls} == {START + STREAM}
