"""What arrives on a socket of the real server: requests that can be read in two ways, and slow ones."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from api.http import bounded_protocol
from api.http.middleware import body_limit
from api.proxy.mounting import PREFIX
from tests.loopback.raw_upstream import RawUpstream, raw_upstream, whole
from tests.support.http_service import START_S, ServiceProcess, running, settings_of, without_memory
from tests.support.served_proxy import served

BODY = b'{"model":"m","messages":[{"role":"user","content":"a"}]}'
INNER = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
FRAMES = {
    "length and chunks": b"content-length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "chunks and length": CHUNKED + b"content-length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"content-length: 0\r\ncontent-length: 35\r\n\r\n",
    "a length twice": b"content-length: 0\r\ncontent-length: 0\r\n\r\n",
    "a list of lengths": b"content-length: 0, 35\r\n\r\n",
    "a signed length": b"content-length: +0\r\n\r\n",
    "a negative length": b"content-length: -1\r\n\r\n",
    "a length in another notation": b"content-length: 0x0\r\n\r\n",
    "a length beyond all numbers": b"content-length: 99999999999999999999999\r\n\r\n",
    "a space before the colon": b"content-length : 0\r\n\r\n",
    "a folded header": b"x-a: b\r\n content-length: 0\r\n\r\n",
    "a folded coding": b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "lines that end in LF": b"content-length: 0\n\n",
    "a line that ends in CR": b"x: a\rcontent-length: 35\r\n\r\n",
    "NUL in a header": b"x: a\0b\r\ncontent-length: 0\r\n\r\n",
    "an unknown coding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": CHUNKED + b"transfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked, but not at last": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a vertical tab": b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk beyond all numbers": CHUNKED + b"\r\nfffffffffffffffff\r\n",
    "a negative chunk": CHUNKED + b"\r\n-1\r\n",
    "a chunk that ends in LF": CHUNKED + b"\r\n0\n\n",
    "an extension that ends in LF": CHUNKED + b"\r\n1;a\nxx\r\n0\r\n\r\n",
    "a chunk without its end": CHUNKED + b"\r\n1\r\nxx0\r\n\r\n",
    "a length behind the body": CHUNKED + b"\r\n0\r\ncontent-length: 5\r\n\r\n",
}


def head(path: str) -> bytes:
    lines = f"POST {path} HTTP/1.1", "host: localhost", "x-api-key: k", "content-type: application/json", ""
    return "\r\n".join(lines).encode()


async def exchange(url: str, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """What comes back until the server closes the connection; the parts are sent until then."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)

    async def send() -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    sending = asyncio.create_task(send())
    answer = b""
    try:
        # A server that closes while more is on its way resets the connection.
        with suppress(ConnectionError):
            async with asyncio.timeout(START_S):
                while part := await reader.read(65_536):
                    answer += part
        return answer
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        upstream.default = whole(b'{"type":"message","model":"m","content":[]}')
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    sqlite_template: Path, upstream: RawUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceProcess]:
    """`arcpoint serve`, with the proxy mounted."""
    folder = tmp_path_factory.mktemp("raw")
    shutil.copyfile(sqlite_template, folder / "a.db")
    settings = settings_of(
        f"sqlite:///{folder / 'a.db'}",
        folder,
        memory_path=without_memory(folder),
        proxy_mounted=True,
        proxy_upstream_url=upstream.url,
    )
    async with ServiceProcess(settings) as process:
        yield process


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/v1/query", "/v1/ingest/requests", f"{PREFIX}/v1/messages"])
async def test_a_request_in_a_body_is_not_one(
    service: ServiceProcess, upstream: RawUpstream, path: str
) -> None:
    """What can be framed in two ways is refused with its connection, and nothing of it is forwarded."""
    upstream.requests.clear()
    for what, frame in FRAMES.items():
        answer = await exchange(service.url, head(path) + frame + INNER)
        assert answer.startswith(b"HTTP/1.1 400 "), (what, answer)
        assert answer.count(b"HTTP/1.1 ") == 1, (what, answer)
    assert not upstream.requests


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
async def test_chunks_are_forwarded_as_one_body(service: ServiceProcess, upstream: RawUpstream) -> None:
    """Extensions of chunks and headers behind the body stay here, and the next request is its own."""
    upstream.requests.clear()
    framed = CHUNKED + b"\r\n%x;a=b\r\n%b\r\n0\r\nx-late: 1\r\n\r\n" % (len(BODY), BODY)
    last = INNER.replace(b"host: localhost", b"host: localhost\r\nconnection: close")
    answer = await exchange(service.url, head(f"{PREFIX}/v1/messages") + framed + last)
    assert answer.count(b"HTTP/1.1 200 ") == 2, answer
    (arrived,) = upstream.requests
    assert arrived.body == BODY
    assert (arrived.values("content-length"), "x-late" in arrived.names) == ([str(len(BODY))], False)


@pytest.fixture
async def slow_app(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FastAPI]:
    """The service, with a patience that a test can wait for."""
    monkeypatch.setattr(bounded_protocol, "HEAD_S", 0.3)
    monkeypatch.setattr(body_limit, "READ_S", 0.3)
    settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path), ingest_read_s=0.3)
    async with running(settings) as app:
        yield app


LONG = [b"x"] * 10_000
DRIPS = {
    "silence": ([b""], b"408"),
    "headers by the byte": ([head("/v1/query"), b"x-a: ", *LONG], b"408"),
    "a second request by the byte": ([INNER, b"GET / HTTP/1.1\r\nx: ", *LONG], b"408"),
    "a body by the byte": ([head("/v1/query") + b"content-length: 9999\r\n\r\n", *LONG], b"408"),
    "a refused body by the byte": (
        [head("/v1/query") + b"origin: http://evil.example\r\ncontent-length: 9999\r\n\r\n", *LONG],
        b"403",
    ),
    "telemetry by the byte": ([head("/v1/ingest/requests") + b"content-length: 9999\r\n\r\n", *LONG], b"503"),
}


@pytest.mark.parametrize("what", DRIPS)
async def test_a_client_that_takes_its_time_is_not_waited_for(slow_app: FastAPI, what: str) -> None:
    """Headers and bodies have to come in time, whatever the pace at which they do."""
    parts, status = DRIPS[what]
    async with served(slow_app) as url:
        answer = await exchange(url, *parts, pause_s=0.02)
    assert not answer or b"HTTP/1.1 " + status in answer


@pytest.mark.parametrize(
    "parts",
    [
        [head("/v1/query"), *[b"x-a: " + b"a" * 1_000 + b"\r\n"] * 10_000],
        [head("/v1/query"), *[b"a" * 1_000] * 10_000],
        [b"GET /" + b"a" * 10_000_000],
        [head("/v1/query"), CHUNKED, b"\r\n2;", *[b"a" * 1_000] * 10_000],
        [head("/v1/query"), CHUNKED, b"\r\n2\r\n{}\r\n0\r\n", *[b"x-a: " + b"a" * 1_000 + b"\r\n"] * 10_000],
    ],
    ids=["headers", "one header", "a path", "an extension of a chunk", "headers behind a body"],
)
async def test_headers_without_end_end_with_their_connection(
    slow_app: FastAPI, parts: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most so many bytes are kept of what no application has seen yet, long before the time is up."""
    monkeypatch.setattr(bounded_protocol, "HEAD_S", 600.0)
    monkeypatch.setattr(body_limit, "READ_S", 600.0)
    async with served(slow_app) as url:
        answer = await exchange(url, *parts)
    assert b"HTTP/1.1 200" not in answer
