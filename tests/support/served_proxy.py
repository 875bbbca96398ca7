"""The proxy as clients meet it: behind a real server, on a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from api.http.bounded_protocol import BoundedProtocol
from api.proxy.opening import OpenProxy, open_proxy
from api.settings import Settings
from context_builder.conversation.rewriter import Rewriter
from models.database import Database
from tests.support.patience import PATIENCE_S


@dataclass(frozen=True)
class ServedProxy:
    """A proxy that is served in this event loop."""

    url: str
    proxy: OpenProxy

    @property
    def ended(self) -> dict[str, int]:
        """How many requests ended in which state."""
        return {state.value: count for state, count in self.proxy.recorder.ended.items()}

    async def until_ended(self, count: int) -> None:
        """Returns once so many requests have ended."""
        async with asyncio.timeout(PATIENCE_S):
            while sum(self.proxy.recorder.ended.values()) < count:  # noqa: ASYNC110 - it counts, nothing else
                await asyncio.sleep(0.005)

    async def until_stored(self) -> None:
        """Returns once every request that ended is stored."""
        async with asyncio.timeout(PATIENCE_S):
            while self.proxy.recorder.waiting:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.005)

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client over real connections."""
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, **options)

    async def exchange(self, request: bytes) -> bytes:
        """What comes back for these very bytes, until the connection is closed."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = httpx.URL(self.url)
        return await asyncio.open_connection(address.host, address.port)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The URL of an application behind a server."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, server_header=False, http=BoundedProtocol
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task


@asynccontextmanager
async def served_proxy(
    database: Database, upstream_url: str, rewriter: Rewriter | None = None, **changes: Any
) -> AsyncIterator[ServedProxy]:
    """A proxy in front of an upstream; `changes` are settings."""
    settings = Settings(proxy_upstream_url=upstream_url, **changes)
    async with open_proxy(settings, database, rewriter) as proxy, served(proxy.app) as url:
        yield ServedProxy(url, proxy)
