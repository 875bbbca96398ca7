"""Responses that stream until the client leaves, and the journal of what the server has seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: Any
    """As JSON; None: it was none."""
    at: float
    """On the monotonic clock."""
    method: str = "POST"


class BrokenConnection(Exception):
    """Raised inside a response, so that the server drops the connection."""


@dataclass
class Journal:
    """What has happened so far; written by the server's thread, read by any."""

    requests: list[Recorded] = field(default_factory=list)
    """All, those for counting tokens included."""
    open_streams: int = 0
    most_open_streams: int = 0
    disconnects: int = 0
    """Clients that left before they had the whole response."""


class EventStream(Response):
    """Streams until the client leaves, which it notices at once also between two pieces."""

    def __init__(self, parts: AsyncIterator[bytes], journal: Journal, headers: Mapping[str, str]) -> None:
        super().__init__(headers=dict(headers))
        del self.headers["content-length"]
        self._parts = parts
        self._journal = journal

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        journal = self._journal
        journal.open_streams += 1
        journal.most_open_streams = max(journal.most_open_streams, journal.open_streams)
        try:
            if not await finished_before_disconnect(self._send_all(send), receive):
                journal.disconnects += 1
        finally:
            journal.open_streams -= 1

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def finished_before_disconnect(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Runs the coroutine until it is done or the client has left; whether it got done."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnect(receive))
    await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    done = working.done()
    for task in (working, leaving):
        task.cancel()
    if done:
        working.result()
    return done


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
