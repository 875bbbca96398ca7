"""Stops the work for a client that has left: nobody would read the answer, and its tokens are paid for."""

from __future__ import annotations

import asyncio
from asyncio import Timeout

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)


class CancelOnDisconnect:
    """Cancels a request whose client closes the connection before the response is complete."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            # A timeout that runs out when the client leaves: cancels this task, and only for that reason.
            async with asyncio.timeout(None) as stay:
                watcher = asyncio.create_task(exchange.end_when_left(stay))
                try:
                    await self._app(scope, exchange.receive, exchange.send)
                finally:
                    watcher.cancel()
        except TimeoutError:
            if not stay.expired():
                raise
            log.info("client left")


class _Exchange:
    """One request and its response; the connection is watched between the one and the other."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_read = asyncio.Event()
        self._over = asyncio.Event()

    async def receive(self) -> Message:
        """The next part of the body; when it is read, the news that the exchange is over."""
        if self._body_read.is_set():
            await self._over.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if not message.get("more_body", False):
            self._body_read.set()
        return message

    async def send(self, message: Message) -> None:
        """Passes a part of the response on."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._over.set()
        await self._send(message)

    async def end_when_left(self, stay: Timeout) -> None:
        """Lets the timeout run out when the client leaves before it has the whole response."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over.is_set():
            self._over.set()
            stay.reschedule(asyncio.get_running_loop().time())
