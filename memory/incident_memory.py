"""Remembers resolved incidents and recalls those that resemble a question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from memory.embedding.embedder import Embedder
from memory.entries.entries import Entries, Progress
from memory.errors import MemoryUnavailable
from memory.index.active_index import find_active, require_active
from memory.index.contract import VectorIndex
from memory.maintenance.status import MemoryStatus, memory_status
from memory.maintenance.upkeep import SyncReport, Upkeep
from memory.recall.lexical_candidates import with_named
from memory.recall.past_incidents import load_recollections, rank_hits
from memory.recall.ranking import Ranked
from memory.recall.results import Recall, RecallQuery
from memory.text.lexical import wording
from memory.text.recipe import Redact
from models.database import Database, ReadSession

_CANDIDATES = (100, 500)
"""Close texts that are looked at per query, and again where variants of one crowd out all others. A hundred
instead of fifty raised recall in the first ten by a hundredth, four hundred by hardly more."""


class IncidentMemory:
    """Incident memory over one database, which is the truth, and one index, which is derived from it."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        index: VectorIndex,
        *,
        deadline_s: float = 2.0,
        redact: Redact = str,
    ) -> None:
        """`deadline_s` bounds every recall; `redact` sees each text before it is embedded or stored."""
        self._database = database
        self._embedder = embedder
        self._index = index
        self._deadline_s = deadline_s
        self._redact = redact
        self._entries = Entries(database, embedder, redact)
        self.upkeep = Upkeep(database, embedder, index, self._entries)
        self._starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to load the model and to open the index, in the background; never raises."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._warm_up())

    async def started(self, *, at_most_s: float) -> None:
        """Waits until the background start is over, for a caller that asks once and can wait."""
        if self._starting is not None:
            await asyncio.wait([self._starting], timeout=at_most_s)

    async def close(self) -> None:
        """Stops the background work and lets go of the model and the index."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
            self._starting = None
        await self._index.close()
        await self._embedder.close()

    async def recall(
        self, session: ReadSession, queries: Sequence[RecallQuery], *, as_of: datetime, limit: int = 3
    ) -> Recall:
        """Incidents, over before `as_of`, that resemble the queries: at most `limit`, as known by then.

        Raises MemoryUnavailable, at the latest when the deadline is over.
        """
        if as_of.tzinfo is None:
            raise ValueError(f"as_of={as_of.isoformat()} has no time zone; pass an aware datetime")
        if limit < 1:
            raise ValueError(f"limit={limit}; recall at least 1")
        if not queries:
            return Recall((), ())
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
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
        """Makes memory equal to the database: see Upkeep.sync."""
        return await self.upkeep.sync(progress)

    async def rebuild(self, progress: Progress | None = None) -> SyncReport:
        """Makes and verifies a new index: see Upkeep.rebuild."""
        return await self.upkeep.rebuild(progress)

    async def status(self) -> MemoryStatus:
        """How memory is doing; never raises MemoryUnavailable."""
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
            hits = await self._index.query(
                active.collection, vectors, limit=candidates + 1, known_before=as_of
            )
            more = await with_named(session, wanted, vectors, hits, active=active, known_before=as_of)
            chosen, misses = await rank_hits(
                session, queries, more, as_of=as_of, background=self._embedder.background, limit=limit
            )
            if len(chosen) >= limit or not _crowded(chosen, candidates):
                break
        return Recall(await load_recollections(session, chosen, as_of=as_of), misses)


def _crowded(chosen: Sequence[tuple[RecallQuery, Ranked]], candidates: int) -> bool:
    """Whether variants of one incident are so many of the close ones that others had little room."""
    return any(len(found.keys) > candidates // 2 for _, found in chosen)
