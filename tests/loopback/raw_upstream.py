"""An upstream on 127.0.0.1 that keeps the very bytes it gets and sends the very bytes it is told to.

It knows nothing of the Messages API: what it answers is a script, what it was sent is looked at afterwards.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import Event, StreamReader, StreamWriter
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CLOSE = "close"
"""A step: the connection is closed."""
ABORT = "abort"
"""A step: the connection is reset."""
HANG = "hang"
"""A step: nothing is sent until the other side closes the connection."""

Step = bytes | float | Event | str
"""Bytes to send, seconds to wait, an event to wait for, or one of the above."""
Answer = Sequence[Step]


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    """Names as they were written."""
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.headers}


@dataclass
class RawUpstream:
    """What is answered next, and what was asked."""

    url: str = ""
    requests: list[RawRequest] = field(default_factory=list)
    began: int = 0
    """Requests whose first bytes have come."""
    busy: int = 0
    """Exchanges that are under way."""
    default: Answer = ()
    _script: deque[Answer] = field(default_factory=deque)
    _changed: Event = field(default_factory=Event)

    def reset(self) -> None:
        """Forgets what it was asked and told."""
        self.requests.clear()
        self._script.clear()
        self.began, self.default = 0, ()

    def script(self, *answers: Answer) -> None:
        """What the next requests get, one each; then it is the default's turn."""
        self._script.extend(answers)

    async def until(self, condition: Any, timeout_s: float = 30.0) -> None:
        """Returns when the condition holds, which is looked at whenever something happens."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                goes_on = True
                while goes_on:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    with self._counted():
                        goes_on = await self._exchange(head, reader, writer)
        finally:
            writer.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.began, self.busy = self.began + 1, self.busy + 1
        self._changed.set()
        try:
            yield
        finally:
            self.busy -= 1
            self._changed.set()

    async def _exchange(self, head: str, reader: StreamReader, writer: StreamWriter) -> bool:
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        body = await _body(reader, {name.lower(): value for name, value in headers})
        self.requests.append(RawRequest(method, target, headers, body))
        self._changed.set()
        for step in self._script.popleft() if self._script else self.default:
            match step:
                case bytes():
                    writer.write(step)
                    await writer.drain()
                case float() | int():
                    await asyncio.sleep(step)
                case Event():
                    await step.wait()
                case "hang":
                    await reader.read()
                    return False
                case "abort":
                    writer.transport.abort()
                    return False
                case _:
                    return False
        return True


@asynccontextmanager
async def raw_upstream() -> AsyncIterator[RawUpstream]:
    """An upstream that listens while the context lasts."""
    upstream = RawUpstream()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.ensure_future(upstream.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**22)
    host, port = server.sockets[0].getsockname()[:2]
    upstream.url = f"http://{host}:{port}"
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def whole(body: bytes, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in one piece; JSON unless the headers say otherwise."""
    lines = {"content-type": "application/json", "content-length": str(len(body))} | dict(headers or {})
    return (_head(status, lines) + body,)


def streamed(*parts: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """A stream of events in these parts."""
    lines = {"content-type": "text/event-stream", "transfer-encoding": "chunked"} | dict(headers or {})
    return (_head(200, lines), *map(chunk, parts), b"0\r\n\r\n")


def chunk(part: bytes) -> bytes:
    """A chunk of a body that is sent in chunks."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def error(status: int, kind: str, message: str = "No.", *, headers: Any = None, code: str = "") -> Answer:
    """An error of the Messages API."""
    said: dict[str, Any] = {"type": kind, "message": message}
    if code:
        said["details"] = {"error_code": code}
    document = {"type": "error", "error": said, "request_id": "req_upstream"}
    return whole(
        json.dumps(document).encode(), status, headers={"request-id": "req_upstream"} | (headers or {})
    )


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode()


async def _body(reader: StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)
