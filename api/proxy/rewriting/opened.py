"""Opens the rewriter of a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from api.proxy.rewriting.gateway_states import SOURCES, GatewayStates
from api.proxy.rewriting.in_time import InTime
from api.proxy.rewriting.learning import Learning
from api.proxy.rewriting.rewriting import ContextRewriter, RewritingOptions
from api.proxy.rewriting.turn_store import TurnStore
from context_builder.builder import ContextBuilder
from context_builder.sources import discover
from context_builder.text.clock import utc_now
from memory.embedding.hashing import HashingEmbedder
from memory.entries.stored_index import StoredIndex
from memory.incident_memory import IncidentMemory
from models.database import Database

PAUSE_S = 5.0
"""How long a store or a context that failed is not asked again."""
_BUDGET = 4_000


@asynccontextmanager
async def open_rewriter(
    database: Database,
    *,
    options: RewritingOptions | None = None,
    learns: bool = False,
    store: TurnStore | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[ContextRewriter]:
    """Open a rewriter that reads the gateway's state in the background; with `learns` it notes what helps."""
    sources = [source for source in await asyncio.to_thread(discover) if source.name in SOURCES]
    embedder = HashingEmbedder()  # loads nothing: none of these sources recalls
    memory = IncidentMemory(database, embedder, StoredIndex(database, embedder))
    builder = ContextBuilder(database, memory, sources, default_budget=_BUDGET, clock=clock)
    storing, reading = InTime(PAUSE_S), InTime(PAUSE_S)
    states = GatewayStates(builder, reading)
    rewriter = ContextRewriter(
        store or TurnStore(database),
        states,
        storing=storing,
        options=options,
        learning=Learning(database) if learns else None,
        clock=clock,
    )
    async with states.refreshed():
        try:
            yield rewriter
        finally:
            await storing.close()
            await reading.close()
