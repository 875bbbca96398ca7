"""The client's side of one request: its body, its disconnect, and what it is sent."""

from __future__ import annotations

import asyncio
from asyncio import Task, Timeout, TimerHandle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Message, Receive, Send

from api.proxy.errors import ClientGone, ProxyRefusal

_MAX_DISCARDED_BYTES = 64 * 2**20
"""Of a refused body that are still read: most clients read the answer only when they have sent all of it."""


class ClientConnection:
    """Reads from and writes to a client; whatever is under way ends when it disconnects or stops reading."""

    def __init__(self, receive: Receive, send: Send, *, silence_s: float) -> None:
        """Wrap an ASGI connection; `silence_s` is how long a client may neither send nor read."""
        self._receive = receive
        self._send = send
        self._silence_s = silence_s
        self._until: Timeout
        self._waits_since: float | None = None
        """When the client began to be waited for; None: it is not."""
        self._watch_timer: TimerHandle
        self._watcher: Task[None] | None = None
        self._is_gone = False
        self.has_more = True
        """True until the last part of the body has been read."""
        self.started = False
        """True once the client has been sent a status."""

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Cancel the block when the client is gone. Raises ClientGone."""
        try:
            # A timeout that expires when the client is gone, and for no other reason.
            async with asyncio.timeout(None) as self._until:
                self._look_in(self._silence_s)
                yield
        except TimeoutError:
            if not self._until.expired():
                raise
            raise ClientGone("disconnected" if self._is_gone else "stopped reading or sending") from None
        finally:
            self._watch_timer.cancel()
            if self._watcher is not None:
                self._watcher.cancel()

    @property
    def is_waiting(self) -> bool:
        """Return True if the client is there, has not sent its whole body, and has been answered nothing."""
        return self.has_more and not self.started and not self._is_gone

    async def read(self, max_bytes: int) -> bytes:
        """Read the whole body. Raises ProxyRefusal if it is too large."""
        parts, size = [], 0
        async for part in self.parts():
            size += len(part)
            if size > max_bytes:
                await self._discard()
                raise ProxyRefusal(413, f"the body is too large; at most {max_bytes:,} bytes are accepted")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; after its end, watch for the client's disconnect.

        Another task may read it: a disconnect cancels the block of `served`, not the reader.
        """
        while self.has_more:
            message = await self._next()
            if not self.has_more:
                self._watcher = asyncio.create_task(self._watch())
            if part := message.get("body", b""):
                yield part

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send status and headers."""
        self.started = True
        await self._put({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, part: bytes) -> None:
        """Send a part of the body; waits while the client does not keep up."""
        await self._put({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        """End the body. What follows is no longer cancelled: the client has everything."""
        if self._watcher is not None:
            self._watcher.cancel()
        await self._put({"type": "http.response.body", "body": b"", "more_body": False})

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole response."""
        await self.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self._put({"type": "http.response.body", "body": body, "more_body": False})

    async def _next(self) -> Message:
        self._waits_since = asyncio.get_running_loop().time()
        message = await self._receive()
        self._waits_since = None
        if message["type"] == "http.disconnect":
            self._leave()
            await asyncio.Event().wait()  # until the block is cancelled
        self.has_more = message.get("more_body", False)
        return message

    async def _put(self, message: Message) -> None:
        self._waits_since = asyncio.get_running_loop().time()
        await self._send(message)
        self._waits_since = None

    def _look_in(self, seconds: float) -> None:
        self._watch_timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """End the block if the client has been silent too long, else look again when it would be.

        One timer for all that is waited for: setting one for each part costs more than to pass the part on.
        """
        now = asyncio.get_running_loop().time()
        silent_s = 0.0 if self._waits_since is None else now - self._waits_since
        if silent_s < self._silence_s:
            self._look_in(self._silence_s - silent_s)
        elif not self._is_gone:
            self._until.reschedule(now)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self._is_gone = True
        self._until.reschedule(asyncio.get_running_loop().time())

    async def _discard(self) -> None:
        discarded = 0
        while self.has_more and discarded < _MAX_DISCARDED_BYTES:
            discarded += len((await self._next()).get("body", b""))
