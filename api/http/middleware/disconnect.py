"""Cancels the work for clients that have disconnected: tokens cost money, and nobody reads the answer."""

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
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            # A timeout that expires when the client disconnects, and for no other reason.
            async with asyncio.timeout(None) as until_disconnect:
                watcher = asyncio.create_task(exchange.expire_on_disconnect(until_disconnect))
                try:
                    await self._app(scope, exchange.receive, exchange.send)
                finally:
                    watcher.cancel()
        except TimeoutError:
            if not until_disconnect.expired():
                raise
            log.info("client disconnected")


class _Exchange:
    """One request and its response; watches the connection between the two."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_read = asyncio.Event()
        self._over = asyncio.Event()

    async def receive(self) -> Message:
        """Receive the next part of the body; after the last one, wait for the end of the exchange."""
        if self._body_read.is_set():
            await self._over.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if not message.get("more_body", False):
            self._body_read.set()
        return message

    async def send(self, message: Message) -> None:
        """Forward a part of the response."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._over.set()
        await self._send(message)

    async def expire_on_disconnect(self, until_disconnect: Timeout) -> None:
        """Let the timeout expire if the client disconnects before the response is complete."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over.is_set():
            self._over.set()
            until_disconnect.reschedule(asyncio.get_running_loop().time())
