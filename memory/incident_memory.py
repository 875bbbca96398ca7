"""Remembers resolved incidents and recalls those similar to a question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from memory.embedding.embedder import Embedder
from memory.entries.changes import Progress
from memory.entries.entries import Entries
from memory.errors import MemoryUnavailable
from memory.index.active_index import find_active, require_active
from memory.index.contract import VectorIndex
from memory.maintenance.index_maintenance import IndexMaintenance, SyncReport
from memory.maintenance.status import MemoryStatus, memory_status
from memory.recall.lexical_candidates import with_identified
from memory.recall.past_incidents import load_recalled, rank_neighbors
from memory.recall.ranking import Ranked
from memory.recall.results import Recall, RecallOutcome, RecallQuery, RecallReport
from memory.text.lexical import wording
from memory.text.recipe import Redact
from models.database import Database, ReadSession

Within = Callable[[float], AbstractAsyncContextManager[asyncio.Timeout]]
"""Cancels a block after so many seconds, with TimeoutError."""

_CANDIDATES = (100, 500)
"""Neighbors per query; the second number where variants of one incident crowd out all others. A hundred
instead of fifty raised recall@10 by 0.01, four hundred by hardly more."""


class IncidentMemory:
    """Incident memory over one database, the source of truth, and one index derived from it."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        index: VectorIndex,
        *,
        deadline_s: float = 2.0,
        redact: Redact = str,
        within: Within = asyncio.timeout,
    ) -> None:
        """`deadline_s` bounds every recall, as `within` counts it; `redact` sees each text first."""
        self._database = database
        self._embedder = embedder
        self._index = index
        self._deadline_s = deadline_s
        self._redact = redact
        self._within = within
        self._entries = Entries(database, embedder, redact)
        self.maintenance = IndexMaintenance(database, embedder, index, self._entries)
        self._starting: asyncio.Task[None] | None = None
        self.observe: Callable[[RecallReport], None] = _ignore
        """Is handed a report of every recall."""

    async def start(self) -> None:
        """Start loading the model and opening the index in the background; never raises."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._warm_up())

    async def started(self, *, at_most_s: float) -> None:
        """Wait until the background start is over, for a caller that asks once and can wait."""
        if self._starting is not None:
            await asyncio.wait([self._starting], timeout=at_most_s)

    async def close(self) -> None:
        """Stop the background work and release the model and the index."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
            self._starting = None
        await self._index.close()
        await self._embedder.close()

    async def recall(
        self, session: ReadSession, queries: Sequence[RecallQuery], *, as_of: datetime, limit: int = 3
    ) -> Recall:
        """Return at most `limit` incidents resolved before `as_of`, as known then, that resemble the queries.

        Raises MemoryUnavailable, at the latest when the deadline is over, and ValueError for a naive `as_of`
        or a `limit` below 1.
        """
        if as_of.tzinfo is None:
            raise ValueError(f"as_of={as_of.isoformat()} has no time zone; pass an aware datetime")
        if limit < 1:
            raise ValueError(f"limit={limit}; recall at least 1")
        if not queries:
            return Recall((), ())
        started, outcome = time.perf_counter(), RecallOutcome.UNAVAILABLE
        try:
            recall = await self._recall_in_time(session, queries, as_of, limit)
            outcome = RecallOutcome.FOUND if recall.recollections else RecallOutcome.ABSTAINED
            return recall
        finally:
            self.observe(RecallReport(outcome, time.perf_counter() - started))

    async def _recall_in_time(
        self, session: ReadSession, queries: Sequence[RecallQuery], as_of: datetime, limit: int
    ) -> Recall:
        """Recall within the deadline. Raises MemoryUnavailable."""
        try:
            async with self._within(self._deadline_s) as deadline:
                return await self._recall(session, queries, as_of, limit)
        except TimeoutError:
            if not deadline.expired():
                raise
        starting = self._starting is not None and not self._starting.done()
        raise MemoryUnavailable(
            f"incident memory did not answer within {self._deadline_s:g} s"
            + ("; it is still starting, ask again in a moment" if starting else "")
        )

    async def sync(self, progress: Progress | None = None) -> SyncReport:
        """Make memory equal to the database: see IndexMaintenance.sync."""
        return await self.maintenance.sync(progress)

    async def rebuild(self, progress: Progress | None = None) -> SyncReport:
        """Build and verify a new index: see IndexMaintenance.rebuild."""
        return await self.maintenance.rebuild(progress)

    async def status(self) -> MemoryStatus:
        """Return the state of memory; never raises MemoryUnavailable."""
        return await memory_status(self._database, self._embedder, self._index, self._entries)

    async def _warm_up(self) -> None:
        # What fails here fails again, and is reported, when memory is used.
        await asyncio.gather(self._embedder.load(), self._index.open(), return_exceptions=True)

    async def _recall(
        self, session: ReadSession, queries: Sequence[RecallQuery], as_of: datetime, limit: int
    ) -> Recall:
        await self._embedder.load()
        active = require_active(await find_active(session))
        active.require_fit(self._embedder)
        texts = [self._redact(query.text) for query in queries]
        vectors = await self._embedder.embed(texts)
        wanted = [wording(text, query.target) for text, query in zip(texts, queries, strict=True)]
        for candidates in _CANDIDATES:
            # One more, since the incident asked about may be among them.
            neighbors = await self._index.query(
                active.collection, vectors, limit=candidates + 1, known_before=as_of
            )
            more = await with_identified(
                session, wanted, vectors, neighbors, active=active, known_before=as_of
            )
            chosen, misses = await rank_neighbors(
                session, queries, more, as_of=as_of, background=self._embedder.background, limit=limit
            )
            if len(chosen) >= limit or not _crowded(chosen, candidates):
                break
        return Recall(await load_recalled(session, chosen, as_of=as_of), misses)


def _ignore(_report: RecallReport) -> None:
    """Observe nothing."""


def _crowded(chosen: Sequence[tuple[RecallQuery, Ranked]], candidates: int) -> bool:
    """Return True if variants of one incident took most of the candidates."""
    return any(len(found.keys) > candidates // 2 for _, found in chosen)
