"""Upstreams and clients that fail, hang, lie or leave: the right status, nothing hangs, nothing leaks."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import anthropic
import psutil
import pytest
import pytest_asyncio

from api.proxy.client.request_body import MAX_BODY_BYTES
from models.database import Database
from tests.loopback.raw_upstream import ABORT, CLOSE, HANG, Answer, RawUpstream, chunk, error, whole
from tests.support.patience import PATIENCE_S
from tests.support.proxied_streams import HEAD, START, STREAM
from tests.support.served_proxy import ServedProxy, served_proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK = whole(b'{"type":"message","model":"m","content":[]}')
OVERLOADED = error(529, "overloaded_error")


def limited(**headers: str) -> Answer:
    return error(
        429, "rate_limit_error", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


RETRIES: dict[str, tuple[Answer, int]] = {
    "529": (OVERLOADED, 2),
    "500": (error(500, "api_error"), 2),
    "409": (error(409, "conflict_error"), 2),
    "429 that says when": (limited(retry_after="0.01"), 2),
    "429 that says when, in milliseconds": (limited(retry_after_ms="10", retry_after="3600"), 2),
    "429 that says a date that is past": (limited(retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), 2),
    "429 that does not say when": (limited(), 1),
    "429 that asks for more than anyone waits": (limited(retry_after="60"), 1),
    "529 that says no": (error(529, "overloaded_error", headers={"x-should-retry": "false"}), 1),
    "400 that says yes": (error(400, "invalid_request_error", headers={"x-should-retry": "true"}), 2),
    "a spend limit": (
        error(429, "rate_limit_error", headers={"retry-after": "0"}, code="enforced_spend_limit_reached"), 1,
    ),
    "400": (error(400, "invalid_request_error"), 1),
    "404": (error(404, "not_found_error"), 1),
    "a connection that is closed": ((CLOSE,), 2),
    "a connection that is reset": ((ABORT,), 2),
}  # fmt: skip


@pytest.mark.parametrize("case", RETRIES)
async def test_an_answer_is_asked_for_again_only_where_that_can_help(
    proxy: ServedProxy, upstream: RawUpstream, case: str
) -> None:
    """As often as the API's own SDK would, once at most (C28)."""
    answer, attempts = RETRIES[case]
    upstream.script(answer, OK)
    async with proxy.client() as client:
        response = await client.post("/v1/messages", content=b'{"a":1}')
    assert [request.body for request in upstream.requests] == [b'{"a":1}'] * attempts
    assert (response.status_code == 200) == (attempts == 2)


async def test_the_last_error_is_the_upstreams_own(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """Its status, its bytes and its headers (C28)."""
    body = b'{"type": "error",  "error": {"type":"overloaded_error","message":"\\u00fc"}}'
    upstream.default = whole(body, 529, headers={"retry-after": "0", "request-id": "req_9"})
    async with proxy.client() as client:
        response = await client.post("/v1/messages", content=b"{}")
    assert (response.status_code, response.content) == (529, body)
    assert (response.headers["request-id"], response.headers["retry-after"]) == ("req_9", "0")
    assert len(upstream.requests) == 2


async def test_nothing_is_asked_for_again_once_a_byte_has_been_sent(
    proxy: ServedProxy, upstream: RawUpstream
) -> None:
    """A stream that breaks off after its first event (C28)."""
    upstream.script((HEAD, chunk(START), 0.05, ABORT), OK)
    await proxy.exchange(
        b"POST /v1/messages HTTP/1.1\r\nhost: p\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    )
    assert len(upstream.requests) == 1


INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
BROKEN: dict[str, tuple[Answer, int]] = {
    "200 with nothing": (whole(b""), 502),
    "200 with an empty stream": ((HEAD, b"0\r\n\r\n"), 502),
    "what is not HTTP": ((b"\x00\x01 garbage\r\n\r\n", CLOSE), 502),
    "a status that no answer has": ((b"HTTP/1.1 600 x\r\ncontent-length: 2\r\n\r\n{}",), 502),
    "status 0": ((b"HTTP/1.1 000 x\r\ncontent-length: 2\r\n\r\n{}",), 502),
    "another protocol": ((b"HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", HANG), 502),
    "two lengths": ((b"HTTP/1.1 200 x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",), 502),
    "headers without end": ((b"HTTP/1.1 200 x\r\n", *[b"x: " + b"a" * 60_000 + b"\r\n"] * 200), 502),
    "a chunk of no size": ((HEAD, b"zz\r\n"), 502),
    "a promise and then nothing": ((INTERIM, HANG), 504),
    "promises without end": ((*(INTERIM, 0.05) * 20, HANG), 504),
    "half an error": ((b"HTTP/1.1 400 x\r\ncontent-length: 9\r\n\r\n{", HANG), 504),
    "an answer that breaks off at once": ((HEAD, CLOSE), 502),
    "headers and then nothing": ((HEAD, HANG), 504),
    "nothing at all": ((HANG,), 504),
}


@pytest.fixture(scope="module", params=BROKEN)
def broken(request: pytest.FixtureRequest) -> tuple[Answer, int]:
    return BROKEN[request.param]


async def test_an_upstream_that_does_not_answer_is_an_error_of_the_api(
    impatient_proxy: ServedProxy, upstream: RawUpstream, broken: tuple[Answer, int]
) -> None:
    """Of its own shape, which the SDK raises with an id (C8, C31)."""
    answer, status = broken
    upstream.default = answer
    async with anthropic.AsyncAnthropic(
        api_key="sk-ant-x", base_url=impatient_proxy.url, max_retries=0
    ) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(
                model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
            )
    assert caught.value.status_code == status
    assert caught.value.request_id == caught.value.response.headers["x-arcpoint-request-id"]
    assert caught.value.body == json.loads(caught.value.response.content)


@pytest_asyncio.fixture(loop_scope="module")
async def impatient_proxy(upstream: RawUpstream) -> AsyncIterator[ServedProxy]:
    database = Database("sqlite:////none/none.db")
    async with served_proxy(database, upstream.url, read_only=True, proxy_silence_s=0.5) as proxy:
        yield proxy
    await database.close()


async def test_an_upstream_that_cannot_be_reached_is_502(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """The message names it and says why, and how often it was tried is bounded."""
    database = Database("sqlite:////none/none.db")
    async with (
        served_proxy(database, "http://127.0.0.1:1", read_only=True) as other,
        other.client() as client,
    ):
        response = await client.post("/v1/messages", content=b"{}")
    await database.close()
    assert response.status_code == 502
    assert response.json()["error"]["type"] == "api_error"
    assert "anthropic: cannot connect" in response.json()["error"]["message"]
    assert other.ended == {"upstream_error": 1}


REFUSED: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "too large": (b" " * (MAX_BODY_BYTES + 1), {}, 413, "request_too_large"),
    "too large when decoded": (
        gzip.compress(b" " * (MAX_BODY_BYTES + 1), 1), {"content-encoding": "gzip"}, 413, "request_too_large",
    ),
    "not gzip": (b"{}", {"content-encoding": "gzip"}, 400, "invalid_request_error"),
    "cut": (gzip.compress(b"{}" * 9)[:20], {"content-encoding": "gzip"}, 400, "invalid_request_error"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_proxy_refuses_is_refused_in_the_shape_of_the_api(
    proxy: ServedProxy, upstream: RawUpstream, case: str
) -> None:
    """And the upstream never hears of it (C10, C31)."""
    body, headers, status, kind = REFUSED[case]
    async with proxy.client() as client:
        response = await client.post("/v1/messages", content=body, headers=headers)
    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)
    assert response.json()["request_id"] == response.headers["request-id"]
    assert upstream.began == 0
    assert proxy.ended == {"rejected": 1}


async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(
    proxy: ServedProxy, upstream: RawUpstream
) -> None:
    """Also where no length is said beforehand (C31)."""

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 2**20):
            yield b" " * min(2**20, size - start)

    upstream.default = OK
    async with proxy.client() as client:
        for size, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)):
            response = await client.post("/v1/messages", content=pieces(size))
            assert response.status_code == status
    assert [len(request.body) for request in upstream.requests] == [MAX_BODY_BYTES]


async def test_a_body_without_end_is_refused_before_its_end(
    proxy: ServedProxy, upstream: RawUpstream
) -> None:
    """The connection is closed as well, since nobody reads the rest (C31)."""
    reader, writer = await proxy.connect()
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: p\r\ncontent-length: 99999999999\r\n\r\n")

    async def sends() -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(b" " * 2**20)
                await writer.drain()

    sending = asyncio.create_task(sends())
    async with asyncio.timeout(PATIENCE_S):
        with suppress(ConnectionError):
            answer = await reader.read(500)
            assert b" 413 " in answer.partition(b"\r\n")[0]
        await sending
    assert proxy.ended == {"rejected": 1}
    assert upstream.began == 0


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/files"])
async def test_a_client_that_stops_sending_is_told(
    impatient_proxy: ServedProxy, upstream: RawUpstream, path: str
) -> None:
    """In the API's shape, after the time that it may be silent; the upstream of a file is left, too."""
    head = f"POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: 9\r\n\r\nhalf"
    answer = await impatient_proxy.exchange(head.encode())
    status, _, body = answer.partition(b"\r\n\r\n")
    assert b" 408 " in status.partition(b"\r\n")[0]
    assert json.loads(body)["error"]["type"] == "timeout_error"
    await upstream.until(lambda: upstream.busy == 0)
    assert impatient_proxy.ended == {"client_gone": 1}


async def test_a_client_that_closes_its_side_has_left(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """One that may still read is not told apart from one that is gone: nothing is billed on."""
    upstream.default = (HEAD, chunk(START), HANG)
    _, writer = await proxy.connect()
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{}")
    await upstream.until(lambda: len(upstream.requests) == 1)
    writer.write_eof()
    await proxy.until_ended(1)
    await upstream.until(lambda: upstream.busy == 0)
    assert proxy.ended == {"client_gone": 1}
    writer.close()


async def test_a_client_that_leaves_in_a_pause_is_not_asked_for_again(
    proxy: ServedProxy, upstream: RawUpstream
) -> None:
    """Nobody would read the answer of the retry (C11)."""
    upstream.script(error(529, "overloaded_error", headers={"retry-after": "9"}), OK)
    _, writer = await proxy.connect()
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{}")
    await upstream.until(lambda: len(upstream.requests) == 1 and upstream.busy == 0)
    writer.transport.abort()
    await proxy.until_ended(1)
    assert (proxy.ended, len(upstream.requests)) == ({"client_gone": 1}, 1)


LEAVING: dict[str, Answer] = {
    "before the headers": (HANG,),
    "before the first byte": (HEAD, HANG),
    "amid the stream": (HEAD, chunk(START), HANG),
}


@pytest.mark.parametrize("times", [50, pytest.param(1000, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("moment", LEAVING)
async def test_a_client_that_leaves_takes_its_upstream_with_it(
    proxy: ServedProxy, upstream: RawUpstream, moment: str, times: int
) -> None:
    """At every moment, again and again: no connection and no task stays (C11)."""
    tasks, files = len(asyncio.all_tasks()), psutil.Process().num_fds()
    upstream.default = LEAVING[moment]
    for number in range(1, times + 1):
        reader, writer = await proxy.connect()
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{}")
        await upstream.until(lambda count=number: len(upstream.requests) == count)
        if moment == "amid the stream":
            await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        await upstream.until(lambda: upstream.busy == 0)
        await proxy.until_ended(number)
    assert proxy.ended == {"client_gone": times}
    assert proxy.proxy.recorder.in_flight == 0
    assert psutil.Process().num_fds() <= files + 4
    assert len(asyncio.all_tasks()) <= tasks + 1


async def test_a_client_that_leaves_amid_its_upload_is_noticed(
    proxy: ServedProxy, upstream: RawUpstream
) -> None:
    """Of a conversation nothing is forwarded; of a file the upstream's connection ends."""
    for path, began in (("/v1/messages", 0), ("/v1/files", 1)):
        _, writer = await proxy.connect()
        writer.write(f"POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: 9\r\n\r\nhalf".encode())
        await writer.drain()
        if began:
            await upstream.until(lambda: upstream.began == 1)
        writer.close()
        await proxy.until_ended(began + 1)
        await upstream.until(lambda: upstream.busy == 0)
        assert (upstream.began, upstream.requests) == (began, [])
    assert proxy.ended == {"client_gone": 2}


async def test_a_client_that_does_not_read_is_left_in_the_end(upstream: RawUpstream) -> None:
    """The upstream is not read on for it, and both connections end."""
    upstream.default = (HEAD, *(chunk(STREAM * 100) for _ in range(400)), HANG)
    database = Database("sqlite:////none/none.db")
    async with served_proxy(database, upstream.url, read_only=True, proxy_silence_s=0.5) as proxy:
        _, writer = await proxy.connect()
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{}")
        await proxy.until_ended(1)
        await upstream.until(lambda: upstream.busy == 0)
        writer.transport.abort()
        assert proxy.ended == {"client_gone": 1}
    await database.close()
