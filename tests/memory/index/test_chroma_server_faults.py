"""Any server, or none, at a memory server's address: every call fails in time, with one line."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from memory.errors import MemoryUnavailable
from memory.index.chroma_server import ChromaServerIndex
from memory.index.contract import VectorIndex
from tests.support.incident_world import EPOCH
from tests.support.index_rows import rows
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "very-secret-token"
DEADLINE_S = 0.6
NAME = "incidents-of-this-test"

CALLS: dict[str, Callable[[VectorIndex], Awaitable[Any]]] = {
    "open": lambda index: index.open(),
    "reset": lambda index: index.reset(),
    "collections": lambda index: index.collections(),
    "create": lambda index: index.create(NAME),
    "drop": lambda index: index.drop(NAME),
    "upsert": lambda index: index.upsert(NAME, rows(range(3))),
    "delete": lambda index: index.delete(NAME, ["1"]),
    "query": lambda index: index.query(NAME, rows(range(1)).vectors, limit=3, known_before=EPOCH),
    "stamps": lambda index: index.stamps(NAME),
    "count": lambda index: index.count(NAME),
}
Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(
    reply: Reply, *, deadline_s: float = DEADLINE_S
) -> AsyncIterator[tuple[ChromaServerIndex, list[bytes]]]:
    """Yield an index whose server answers every request like this, and the heads of its requests."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head)
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
                await reply(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    index = ChromaServerIndex(f"http://127.0.0.1:{port}", token=TOKEN, call_deadline_s=deadline_s)
    yield index, heads
    await index.close()
    listener.close()


def saying(status: str, body: bytes | str, head: str = "") -> Reply:
    data = body.encode() if isinstance(body, str) else body

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()

    return reply


def raw(data: bytes) -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return reply


async def never(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send one more byte, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def flood(writer: asyncio.StreamWriter) -> None:
    """More than fits."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"[" * 2**20)
        await writer.drain()


FAULTS: dict[str, tuple[Reply, str]] = {
    "error page": (saying("500 Oh", "<h1>oh\r\nno</h1>"), r"answered 500 \(<h1>oh no</h1>\); see whether"),
    "overloaded": (saying("503 Busy", ""), "answered 503; see whether"),
    "chroma's error": (
        saying("500 Oh", json.dumps({"error": "InternalError", "message": "index\nbroken"})),
        "failed: index broken; if that persists, run `arcpoint memory rebuild`$",
    ),
    "a full disk": (
        saying("500 Oh", json.dumps({"error": "InternalError", "message": "No space left on device"})),
        "failed: No space left on device$",
    ),
    "a wrong token": (saying("401 No", ""), r"refuses us \(401\); set ARCPOINT_MEMORY_TOKEN"),
    "not for us": (saying("403 No", json.dumps({"error": "AuthError"})), r"refuses us \(403\)"),
    "elsewhere": (saying("301 Moved", "", "location: http://127.0.0.1:9/\r\n"), "answered 301"),
    "another service": (saying("404 Not Found", "<html>nothing here</html>"), "answered 404 .*nothing here"),
    "another API": (
        saying("404 Not Found", json.dumps({"error": {"type": "none"}, "message": "no\nroute"})),
        "answered 404 .*; see whether ARCPOINT_MEMORY_URL is that of a Chroma server",
    ),
    "a page": (saying("200 OK", "<html>welcome</html>"), "gave an answer that is not Chroma's"),
    "half a document": (saying("200 OK", '{"ids": ['), "gave an answer that is not Chroma's"),
    "a list": (saying("200 OK", "[[1], 2]"), "gave an answer that is not Chroma's"),
    "a word": (saying("200 OK", '"word"'), "gave an answer that is not Chroma's"),
    "other things": (saying("200 OK", '{"id": 1, "names": {}}'), "gave an answer that is not Chroma's"),
    "odd embeddings": (saying("200 OK", '{"embeddings": [["x"], 2]}'), "gave an answer that is not Chroma's"),
    "odd compression": (saying("200 OK", b"\x00nonsense", "content-encoding: gzip\r\n"), "broke off"),
    "no HTTP": (raw(b"220 mail.example ESMTP\r\n"), "broke off"),
    "half an answer": (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"), "broke off"),
    "nothing": (raw(b""), "broke off"),
    "no answer": (never, r"did not answer within 0.6 s; see whether it hangs"),
    "a slow answer": (drip, r"did not answer within 0.6 s; see whether it hangs"),
    "no end": (flood, "did not answer within|gave an answer that is not Chroma's"),
}


HANGING = ("no answer", "a slow answer", "no end")
"""Only these meet the deadline, however slow the machine is."""


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
async def test_any_fault_of_the_server_is_reported_in_one_line(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call ends in time with MemoryUnavailable that names the server, never with the token in it."""
    reply, expected = FAULTS[fault]
    hangs = fault in HANGING
    async with answering(reply, deadline_s=DEADLINE_S if hangs else PATIENCE_S) as (index, heads):
        await index._connected()  # reads the certificates, which takes a busy machine a while
        monkeypatch.setattr("memory.index.chroma_server._MAX_ANSWER", 2**20)
        started = time.monotonic()
        outcomes = await asyncio.gather(*(call(index) for call in CALLS.values()), return_exceptions=True)
        assert not hangs or time.monotonic() - started < 20  # the default would be 30 s
    for name, outcome in zip(CALLS, outcomes, strict=True):
        if name == "drop" and outcome is None:
            # Whatever is said to it, what had to be gone is taken for gone.
            assert fault in ("a list", "a word", "other things")
            continue
        assert isinstance(outcome, MemoryUnavailable)
        assert re.search(f"^memory server {index.url} .*{expected}", str(outcome))
        assert len(str(outcome).splitlines()) == 1
        assert TOKEN not in str(outcome)
    assert b"authorization: bearer " + TOKEN.encode() in heads[0].lower()
    assert TOKEN not in repr(index)


async def test_a_missing_server_is_reported_with_what_to_do() -> None:
    """Nothing on the port, or a name that no machine has: which address it was, and how to start a server."""
    for url, why in {
        "http://127.0.0.1:9": "Connection refused",
        "http://[::1]:9": "Connection refused|Cannot assign requested address",
        "https://127.0.0.1:9": "Connection refused",
        "http://no-such-host.invalid:1": "Name or service not known|Temporary failure in name resolution",
    }.items():
        index = ChromaServerIndex(url, token=TOKEN, call_deadline_s=20)
        with pytest.raises(MemoryUnavailable) as caught:
            await index.collections()
        expected = (
            rf"memory server {re.escape(url)} cannot be reached \(.*({why})\); start it \(`chroma run`\) or "
        )
        assert re.fullmatch(expected + "correct ARCPOINT_MEMORY_URL", str(caught.value))
        await index.close()


async def test_a_url_or_token_that_cannot_be_one_is_refused() -> None:
    """Law 10, where no settings have looked before."""
    for url in (
        "chroma:8000",
        "ftp://chroma",
        "http://",
        "http://a:b@chroma",
        "http://chroma/path",
        "http://x:0",
    ):
        with pytest.raises(ValueError, match=r"write http://host:port or|goes into ARCPOINT_MEMORY_TOKEN"):
            ChromaServerIndex(url)
    for token in ("", "two words", "línea", "line\nbreak"):
        with pytest.raises(
            ValueError, match=r"^a token is made of visible ASCII characters, without blanks$"
        ):
            ChromaServerIndex("http://chroma:8000", token=token)
