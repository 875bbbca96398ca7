"""What the proxy changes of a request and of its answer where nothing is to be added: nothing."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from tests.loopback.raw_upstream import RawRequest, RawUpstream, error, streamed, whole
from tests.support.served_proxy import ServedProxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD = (
    b'{ "model":"claude-sonnet-5-5",\t"max_tokens": 1.0, "unknown": 12345678901234567890123, "unknown": [1],'
    b' "messages": [{"content": [{"type":"new_kind","x":"\\u00e9\\ud800"}], "role":"user"}] }\n'
)
"""Order, white space, numbers, escapes, half a surrogate pair and doubled fields that a parser would lose."""
MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":'
    b'[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}}'
)
CREDENTIALS = [
    {"x-api-key": "sk-ant-api03-secret"},
    {"authorization": "Bearer sk-ant-api03-secret"},
    {
        "authorization": "Bearer sk-ant-oat01-secret",
        "anthropic-beta": "oauth-2025-04-20, x ,new-beta-2027-01-01",
    },
    {},
]


async def sent(
    proxy: ServedProxy,
    upstream: RawUpstream,
    body: bytes,
    headers: dict[str, str],
    path: str = "/v1/messages",
) -> RawRequest:
    """The request that an upstream gets for one of a client."""
    upstream.script(whole(MESSAGE))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\ncontent-length: {len(body)}\r\n{lines}"
    )
    answer = await proxy.exchange(head.encode() + b"\r\n" + body)
    assert answer.endswith(MESSAGE)
    return upstream.requests[-1]


@pytest.mark.parametrize("body", [ODD, b"{", b"", b'"\xff\xfe"', b"[" * 100_000, ODD + b" " * 800_000])
async def test_a_body_arrives_as_it_was_sent(proxy: ServedProxy, upstream: RawUpstream, body: bytes) -> None:
    """Whatever it is, whether or not it could be parsed, byte for byte (C1)."""
    assert (await sent(proxy, upstream, body, {})).body == body


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", None])
async def test_headers_arrive_as_they_were_sent(
    proxy: ServedProxy, upstream: RawUpstream, credential: dict[str, str], version: str | None
) -> None:
    """Credentials, version, betas and unknown ones; none is added but what names the target (C2, C3, C4)."""
    headers = credential | {
        "x-stainless-lang": "python",
        "X-Unknown": 'a, b ; c="d"',
        "user-agent": "odd/1 (é)",
    }
    headers |= {"anthropic-version": version} if version else {}
    arrived = await sent(proxy, upstream, ODD, headers)
    lower = [(name.lower(), value) for name, value in headers.items()]
    others = [
        (name.lower(), value)
        for name, value in arrived.headers
        if name.lower() not in ("host", "content-length")
    ]
    assert sorted((name, value.encode("latin-1").decode()) for name, value in others) == sorted(lower)


async def test_a_header_that_comes_twice_arrives_twice(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """In the same order."""
    upstream.script(whole(MESSAGE))
    await proxy.exchange(
        b"POST /v1/messages HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\ncontent-length: 2\r\n"
        b"x-twice: 1\r\nx-other: 3\r\nx-twice: 2\r\n\r\n{}"
    )
    assert upstream.requests[0].values("x-twice") == ["1", "2"]


async def test_headers_between_neighbours_go_no_further(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """Hop-by-hop ones, those that Connection names, and the proxy's own, in both directions (C9)."""
    upstream.script(
        whole(
            MESSAGE,
            headers={
                "connection": "keep-alive, x-hop", "x-hop": "1", "keep-alive": "timeout=5", "x-kept": "2",
                "x-arcpoint-request-id": "forged", "trailer": "x",
            },
        )
    )  # fmt: skip
    answer = await proxy.exchange(
        b"POST /v1/messages HTTP/1.1\r\nhost: proxy\r\nconnection: close, x-mine\r\ncontent-length: 2\r\n"
        b"x-mine: 1\r\nte: trailers\r\nproxy-authorization: Basic x\r\nx-arcpoint-policy: off\r\n"
        b"x-kept: 2\r\n\r\n{}"
    )
    assert upstream.requests[0].names == {"host", "content-length", "x-kept"}
    names = [line.partition(b":")[0] for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    assert {b"x-hop", b"keep-alive", b"trailer"} & set(names) == set()
    assert names.count(b"x-arcpoint-request-id") == names.count(b"date") == names.count(b"x-kept") == 1
    assert b"forged" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {
            "request-id": "req_1", "retry-after": "0", "x-should-retry": "false",
            "anthropic-ratelimit-requests-remaining": "3", "anthropic-ratelimit-unified-status": "allowed",
            "set-cookie": "a=b", "server": "cloudflare", "anthropic-organization-id": "o",
        }
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [True, False])
async def test_headers_of_an_answer_reach_the_client(
    proxy: ServedProxy, upstream: RawUpstream, headers: dict[str, str], *, stream: bool
) -> None:
    """Ids, limits and advice on retries, streaming and not, of success and of errors (C9)."""
    answers = [streamed(b"event: ping\n\n", headers=headers) if stream else whole(MESSAGE, headers=headers)]
    upstream.script(*answers, error(429, "rate_limit_error", headers=headers))
    async with proxy.client() as client:
        for _ in range(2):
            response = await client.post("/v1/messages", content=b"{}")
            assert headers.items() <= dict(response.headers).items()
            assert response.headers["x-arcpoint-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "target", ["/v1/messages?beta=true", "/v1/messages?a=%2F%20&b=+&c", "/v1/messages/count_tokens?x=1"]
)
async def test_the_query_arrives_as_it_was_sent(
    proxy: ServedProxy, upstream: RawUpstream, target: str
) -> None:
    """With its escapes (C5)."""
    assert (await sent(proxy, upstream, ODD, {}, target)).target == target


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
async def test_a_compressed_body_arrives_compressed(
    proxy: ServedProxy, upstream: RawUpstream, encode: object
) -> None:
    """Its bytes and its coding, since nothing was changed (C10)."""
    coding = "gzip" if encode is gzip.compress else "deflate"
    body = (gzip.compress if coding == "gzip" else zlib.compress)(ODD)
    arrived = await sent(proxy, upstream, body, {"content-encoding": coding})
    assert arrived.body == body
    assert arrived.values("content-encoding") == [coding]


@pytest.mark.parametrize("status", [200, 400])
async def test_a_compressed_answer_reaches_the_client_compressed(
    proxy: ServedProxy, upstream: RawUpstream, status: int
) -> None:
    """The upstream's own bytes, which the client decodes once (C10)."""
    packed = gzip.compress(MESSAGE)
    upstream.script(whole(packed, status, headers={"content-encoding": "gzip"}))
    async with proxy.client() as client, client.stream("POST", "/v1/messages", content=b"{}") as response:
        assert b"".join([part async for part in response.aiter_raw()]) == packed
        assert response.headers["content-encoding"] == "gzip"


async def test_only_codings_that_can_be_read_are_asked_for(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """So that the usage of every answer can be captured."""
    for given, asked in [
        ("gzip, deflate, br, zstd", "gzip, deflate"),
        ("br", "identity"),
        ("gzip;q=0.5, *;q=0", "gzip;q=0.5"),
    ]:
        arrived = await sent(proxy, upstream, ODD, {"accept-encoding": given})
        assert arrived.values("accept-encoding") == [asked]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/models?limit=1000"),
        ("GET", "/v1/messages/batches/msgbatch_1/results"),
        ("POST", "/v1/messages/batches"),
        ("DELETE", "/v1/files/file_1"),
        ("PUT", "/what/ever%2Fthis?is"),
        ("GET", "/v1/messages"),
    ],
)
async def test_every_other_path_is_passed_on(
    proxy: ServedProxy, upstream: RawUpstream, method: str, target: str
) -> None:
    """Method, target, body and answer, redirects included: models, batches, files and unknown ones (C5)."""
    upstream.script(whole(b"\x00\xff", 307, headers={"location": "/elsewhere", "content-type": "x/y"}))
    body = b"" if method in ("GET", "DELETE") else b"\x00 not json"
    length = f"content-length: {len(body)}\r\n" if body else ""
    answer = await proxy.exchange(
        f"{method} {target} HTTP/1.1\r\nhost: p\r\nconnection: close\r\n{length}\r\n".encode() + body
    )
    (arrived,) = upstream.requests
    assert (arrived.method, arrived.target, arrived.body) == (method, target, body)
    assert arrived.names - {"content-length"} == {"host"}
    assert answer.startswith(b"HTTP/1.1 307")
    assert answer.endswith(b"\r\n\r\n\x00\xff")


async def test_an_upload_is_passed_on_while_it_comes(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """The upstream has its first bytes before the client has sent its last: nothing is kept (files)."""
    upstream.script(whole(b"{}"))
    reader, writer = await proxy.connect()
    writer.write(
        b"POST /v1/files HTTP/1.1\r\nhost: p\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        b"5\r\nfirst\r\n"
    )
    await upstream.until(lambda: upstream.began == 1)
    assert not upstream.requests
    writer.write(b"4\r\nlast\r\n0\r\n\r\n")
    assert (await reader.read()).endswith(b"{}")
    writer.close()
    assert upstream.requests[0].body == b"firstlast"


async def test_a_warm_up_is_answered_without_a_body(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """`HEAD /api/hello`, with the length that the upstream says (C5)."""
    upstream.script((b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",))
    async with proxy.client() as client:
        response = await asyncio.wait_for(client.head("/api/hello"), 30)
    assert (response.status_code, response.headers["content-length"], response.content) == (200, "5", b"")


async def test_a_stranger_elsewhere_is_served_nothing(proxy: ServedProxy, upstream: RawUpstream) -> None:
    """What comes from another machine, or from a page in a browser, is refused: nobody has named its key."""
    upstream.default = whole(b"{}")
    async with proxy.client() as client:
        for header in ("x-forwarded-for", "forwarded", "via", "origin", "sec-fetch-site"):
            headers = {"x-api-key": "sk-ant-unknown", header: "for=203.0.113.9"}
            refused = await client.post("/v1/messages", content=b"{}", headers=headers)
            assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        assert upstream.requests == []
        served = await client.post("/v1/messages", content=b"{}", headers={"x-api-key": "sk-ant-unknown"})
    assert served.status_code == 200
