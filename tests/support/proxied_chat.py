"""A conversation through a rewriter to the recording upstream, as a proxy would carry it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import update

from api.proxy.rewriting.gateway_states import SOURCES as SHOWN_SOURCES
from api.proxy.rewriting.gateway_states import GatewayStates
from api.proxy.rewriting.in_time import InTime
from api.proxy.rewriting.learning import Learning
from api.proxy.rewriting.policy import Policies, Policy
from api.proxy.rewriting.rewriting import ContextRewriter, RewritingOptions
from api.proxy.rewriting.turn_store import TurnStore
from context_builder.builder import ContextBuilder
from context_builder.conversation.rewriter import ProxiedRequest, Rewrite
from context_builder.source import ContextSource
from models import Deployment
from models.database import Database
from tests.loopback.recording_upstream import RecordingUpstream
from tests.support.chat_client import ChatClient, agent_reply
from tests.support.gateway import MINUTE, NOON
from tests.support.no_memory import NO_MEMORY
from tests.support.patience import PATIENCE_S
from tests.support.patient_sources import SOURCES

KEY = "a" * 64
ALWAYS = RewritingOptions(policies=Policies(Policy.ALWAYS), deadline_s=PATIENCE_S)
TROUBLE = RewritingOptions(deadline_s=PATIENCE_S)


class Clock:
    """The time of a test."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Worker:
    """One process of the proxy, on a database that others may share."""

    rewriter: ContextRewriter
    states: GatewayStates
    storing: InTime
    clock: Clock
    learning: Learning


@asynccontextmanager
async def worker(
    database: Database,
    options: RewritingOptions = TROUBLE,
    *,
    clock: Clock | None = None,
    sources: Sequence[ContextSource] | None = None,
    pause_s: float = 0.0,
) -> AsyncIterator[Worker]:
    """Open a rewriter that reads the database's gateway; nothing is refreshed but what is asked for."""
    clock = clock or Clock()
    shown = sources or [source for source in SOURCES if source.name in SHOWN_SOURCES]
    builder = ContextBuilder(database, NO_MEMORY, shown, default_budget=4_000, clock=clock)
    storing, reading = InTime(pause_s), InTime(pause_s)
    states = GatewayStates(builder, reading)
    learning = Learning(database)
    rewriter = ContextRewriter(
        TurnStore(database), states, storing=storing, options=options, learning=learning, clock=clock
    )
    try:
        yield Worker(rewriter, states, storing, clock, learning)
    finally:
        await storing.close()
        await reading.close()


@dataclass
class Chat:
    """One client, the worker that serves it, and the upstream behind."""

    worker: Worker
    upstream: RecordingUpstream = field(default_factory=RecordingUpstream)
    client: ChatClient = field(default_factory=lambda: ChatClient(random.Random(5)))  # noqa: S311
    headers: dict[str, str] = field(default_factory=dict)
    asker: str | None = None
    rewrites: list[Rewrite] = field(default_factory=list)

    def request(self, path: str = "/v1/messages") -> ProxiedRequest:
        """What the client sends next."""
        return ProxiedRequest(path, self.headers, self.client.request(), KEY, self.asker)

    async def sends(self, tools: int = 0, *, text: str | None = None) -> tuple[int, dict[str, Any]]:
        """Send the next request and take the reply; a refusal is recovered from once, as a proxy would."""
        reply = [{"type": "text", "text": text}] if text else agent_reply(self.client.chance, tools)
        self.upstream.reply = lambda _: reply
        request = self.request()
        rewrite = await self.worker.rewriter.rewrite(request)
        status, answer = self.upstream.answer(request.path, rewrite.headers, rewrite.body)
        if status != 200:
            error = answer["error"]["message"].encode()
            recovered = await self.worker.rewriter.recover(request, rewrite, status, error)
            if recovered is None:
                return status, answer
            rewrite = recovered
            status, answer = self.upstream.answer(request.path, rewrite.headers, rewrite.body)
        self.rewrites.append(rewrite)
        if status == 200:
            said = "\n".join(block.get("text", "") for block in answer["content"])
            await self.worker.rewriter.replied(request, rewrite, said, answer["usage"])
            self.client.takes(answer)
        await self.settled()
        return status, answer

    async def asks(self, question: str, tools: int = 0) -> str:
        """Ask as a person, let tools be called so many times, and return what was sent at first."""
        self.client.says(question)
        place = len(self.upstream.seen)
        for left in range(tools, -1, -1):
            status, answer = await self.sends(1 if left else 0)
            assert status == 200, answer
        return self.upstream.seen[place].body.decode()

    async def settled(self) -> None:
        """Wait until what nobody waits for is stored."""
        await self.worker.storing.close()

    def messages(self, request: int = -1) -> list[dict[str, Any]]:
        """The messages of a request, as the upstream got them."""
        messages: list[dict[str, Any]] = self.upstream.seen[request].json["messages"]
        return messages


async def breaks(database: Database, deployment: str, at: datetime, status: str = "down") -> None:
    """Report another status of a deployment, from a minute before `at` on."""
    async with database.write() as session:
        await session.execute(
            update(Deployment)
            .where(Deployment.public_id == deployment)
            .values(status=status, status_since=at - MINUTE, updated_at=at - MINUTE)
        )
