"""The proxy as a part of the HTTP service, or as a service of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.peer import is_local
from api.metrics.metrics import Metrics
from api.proxy.opening import OpenProxy, open_proxy
from api.services import make_risk_ticker, open_database
from api.settings import Settings, metrics_folder

PREFIX = "/anthropic"
"""Of the proxy's paths in `arcpoint serve`, which has paths of its own under `/v1`."""
STATUS_PATH, METRICS_PATH = "/arcpoint/status", "/arcpoint/metrics"
"""The only paths that the proxy as a service of its own does not forward."""


class ProxyMount:
    """Passes requests under PREFIX to the proxy before any other middleware sees them."""

    def __init__(self, app: ASGIApp, *, service: FastAPI) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{PREFIX}/"):
            await self._app(scope, receive, send)
            return
        raw_path = scope.get("raw_path") or scope["path"].encode()
        below = {"path": scope["path"][len(PREFIX) :], "raw_path": raw_path[len(PREFIX) :]}
        proxy: OpenProxy = self._service.state.proxy
        await proxy.app({**scope, **below, "state": {}}, receive, send)


def mount_proxy(service: FastAPI) -> None:
    """Let a service proxy, too, from its start to its end; its settings are those of its state."""
    service.add_middleware(ProxyMount, service=service)
    lifespan = service.router.lifespan_context

    @asynccontextmanager
    async def with_proxy(app: FastAPI) -> AsyncGenerator[Any, None]:
        async with (
            lifespan(app) as state,
            open_proxy(
                app.state.settings,
                app.state.services.database,
                risk=app.state.services.risk,
                observe=app.state.metrics.observe,
            ) as app.state.proxy,
        ):
            yield state

    service.router.lifespan_context = with_proxy


def proxy_service(settings: Settings) -> Router:
    """Create the proxy as a service of its own.

    Starting it raises what `open_database` and `open_proxy` raise.
    """
    opened: list[OpenProxy] = []
    own = Metrics(metrics_folder())

    async def proxied(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await opened[-1].app(scope, receive, send)

    async def status(_: Request) -> JSONResponse:
        return JSONResponse(opened[-1].status())

    async def metrics(request: Request) -> Response:
        if not is_local(request.scope):
            return PlainTextResponse("metrics are for programs on this machine only\n", 403)
        # In a thread: the metrics of other workers are in files.
        return Response(await asyncio.to_thread(own.scrape), media_type=CONTENT_TYPE_LATEST)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(open_database(settings))
            risk = make_risk_ticker(settings, database)
            if settings.proxy_routing == "risk":
                await stack.enter_async_context(risk.ticking())
            proxy = open_proxy(settings, database, risk=risk, observe=own.observe)
            opened.append(await stack.enter_async_context(proxy))
            yield

    own_paths = [Route(STATUS_PATH, status), Route(METRICS_PATH, metrics)]
    return Router(own_paths, redirect_slashes=False, default=proxied, lifespan=lifespan)
