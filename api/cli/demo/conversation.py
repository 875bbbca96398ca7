"""One conversation through the proxy, before and during the outage of the demo's week."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
from aiohttp import web
from sqlalchemy import func, select

from api.proxy.opening import open_proxy
from api.proxy.rewriting.opened import open_rewriter
from api.proxy.rewriting.policy import Policies
from api.proxy.rewriting.rewriting import RewritingOptions
from api.settings import Settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count
from models import Deployment, DeploymentStatus
from models.database import Database

_BEFORE = timedelta(minutes=20)
_PATIENCE_S = 30.0
"""A demo has no client that waits for milliseconds."""
_ASKED = ("Summarize today's tickets, please.", "The last batch failed half way. Is that on our side?")


async def conversation_lines(settings: Settings, database: Database) -> AsyncIterator[str]:
    """Let a client ask before the outage and now, and yield what it sent and what the API got.

    The API is a stand-in on this machine: nothing is sent anywhere, and nothing recorded.
    """
    async with database.read() as session:
        unhealthy = Deployment.status != DeploymentStatus.HEALTHY
        began = await session.scalar(select(func.min(Deployment.status_since)).where(unhealthy))
    now = utc_now()
    messages: list[dict[str, Any]] = []
    async with _stand_in() as api:
        quiet = settings.model_copy(update={"proxy_upstream_url": api.url, "read_only": True})
        for question, moment in zip(_ASKED, ((began or now) - _BEFORE, now), strict=True):
            messages.append({"role": "user", "content": question})
            body = json.dumps({"model": settings.model, "max_tokens": 1000, "messages": messages}).encode()
            await _send(quiet, database, body, moment)
            yield f"{moment:%H:%M}  client: {question}"
            for line in _difference(body, api.received[-1], messages):
                yield f"       {line}"
            messages.append({"role": "assistant", "content": "(the model's reply)"})


async def _send(settings: Settings, database: Database, body: bytes, moment: datetime) -> None:
    """Send a request through a proxy that has just started, at a moment of the demo's week."""
    options = RewritingOptions(policies=Policies(), deadline_s=_PATIENCE_S)
    async with (
        open_rewriter(database, options=options, clock=lambda: moment) as rewriter,
        open_proxy(settings, database, rewriter) as proxy,
        httpx.AsyncClient(transport=httpx.ASGITransport(proxy.app), base_url="http://proxy") as client,
    ):
        answer = await client.post("/v1/messages", content=body, headers={"x-api-key": "sk-ant-demo"})
        answer.raise_for_status()


def _difference(sent: bytes, received: bytes, messages: list[dict[str, Any]]) -> list[str]:
    """Describe what the API got in place of what the client sent."""
    if sent == received:
        return [f"API: the same {format_count(len(sent), 'byte')}; nothing is wrong yet"]
    got = json.loads(received)["messages"]
    same = sum(mine == theirs for mine, theirs in zip(messages, got, strict=True))
    inserted = got[-1]["content"][-1]["text"]
    return [
        f"API: {format_count(same, 'message')} as before, byte for byte, and behind the question:",
        *(f"  {line}" for line in inserted.splitlines()),
    ]


class _StandIn:
    """Answers as the API would, and keeps what it is sent."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request for a message."""
        self.received.append(await request.read())
        reply = {"type": "message", "role": "assistant", "content": [], "stop_reason": "end_turn"}
        return web.json_response(reply | {"usage": {"input_tokens": 1, "output_tokens": 1}})


@asynccontextmanager
async def _stand_in() -> AsyncIterator[_StandIn]:
    api = _StandIn()
    app = web.Application()
    app.router.add_post("/v1/messages", api.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield api
    finally:
        await runner.cleanup()
