"""Remembers resolved incidents and recalls those that resemble a question."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from memory import collection
from memory.active_index import ActiveIndex, activate, find_active, require_active, superseded
from memory.collection import RowChanges
from memory.embedder import Embedder, Vectors
from memory.entries import Entries, Progress, Redact, resolved
from memory.errors import CollectionMissing, MemoryCorrupt, MemoryUnavailable
from memory.index import Hit, VectorIndex
from memory.past_incidents import load_recollections, rank_hits
from memory.recall import Recall, RecallQuery
from models import Incident, MemoryEntry
from models.database import Database, ReadSession

_CANDIDATES = (50, 500)
"""Close texts that are looked at per query, and again where variants of one crowd out all others. Among
fifty the right ones were found in every measured case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What bringing memory up to date has changed."""

    collection: str
    entries: int
    """Resolved incidents in memory now."""
    embedded: int
    removed: int
    """Entries of incidents that are no longer resolved."""
    upserted: int
    deleted: int
    """Rows of the index that no entry stood behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStatus:
    """How incident memory is doing."""

    unavailable: str | None
    """Why recalls fail and what to do; None: they work."""
    collection: str | None
    model_id: str | None
    entries: int
    """Resolved incidents whose text and embedding are in the database."""
    vectors: int | None
    """Rows of the index: incidents that read the same share one."""
    lag: int
    """Resolved incidents that a recall cannot find yet."""
    self_hit_rate: float | None
    """Share of sampled entries that their own vector finds; less than 1 calls for a rebuild."""


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
        self._starting: asyncio.Task[None] | None = None
        self._one_writer = asyncio.Lock()
        self._latest: ActiveIndex | None = None

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
        """Incidents resolved before `as_of` that resemble the queries, at most `limit` in all.

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
        """Brings entries and the active collection up to date, making the first one if there is none.

        Safe to kill, to repeat and to run twice at the same time. Raises MemoryUnavailable.
        """
        first, second = _halves(progress)
        async with self._one_writer:
            await self._embedder.load()
            active = await self._active()
            if active is not None:
                active.require_fit(self._embedder)
            changes = await self._entries.refresh(first)
            await self._drop_leftovers()
            if active is None:
                active, rows = await self._replace(None, second)
            else:
                rows = await self._update(active, second)
        return _report(active, changes.embedded, changes.removed, rows)

    async def rebuild(self, progress: Progress | None = None) -> SyncReport:
        """Builds and verifies a new collection from the entries, lets it serve, then drops the old one.

        The old one serves until then. What cannot be read is moved aside. Raises MemoryUnavailable.
        """
        first, second = _halves(progress)
        async with self._one_writer:
            await self._open_or_start_anew()
            await self._embedder.load()
            changes = await self._entries.refresh(first)
            old = await self._active()
            try:
                await self._drop_leftovers()
                active, rows = await self._replace(old, second)
            except MemoryCorrupt:
                await self._index.start_anew()
                active, rows = await self._replace(old, second)
        return _report(active, changes.embedded, changes.removed, rows)

    async def status(self) -> MemoryStatus:
        """How memory is doing; never raises MemoryUnavailable."""
        async with self._database.read() as session:
            active = await find_active(session)
            incidents = await session.scalar(select(func.count()).select_from(Incident).where(resolved()))
            entries = await session.scalar(select(func.count()).select_from(MemoryEntry))
        name = active.collection if active is not None else None
        vectors = rate = unavailable = None
        current = 0
        try:
            await self._embedder.load()
            name = require_active(active).collection
            require_active(active).require_fit(self._embedder)
            stored = await self._index.stamps(name)
            texts = (await self._entries.texts()).items()
            current = sum(text.incidents for key, text in texts if stored.get(key) == text.stamp)
            vectors = await self._index.count(name)
            rate = await collection.self_hit_rate(self._index, name, self._entries, stored.keys())
        except MemoryUnavailable as error:
            unavailable = str(error)
        return MemoryStatus(
            unavailable=unavailable,
            collection=name,
            model_id=active.model_id if active is not None else None,
            entries=entries or 0,
            vectors=vectors,
            lag=(incidents or 0) - current,
            self_hit_rate=rate,
        )

    async def _warm_up(self) -> None:
        # What fails here fails again, and is reported, when memory is used.
        await asyncio.gather(self._embedder.load(), self._index.open(), return_exceptions=True)

    async def _recall(
        self, session: ReadSession, queries: Sequence[RecallQuery], as_of: datetime, limit: int
    ) -> Recall:
        await self._embedder.load()
        active = require_active(await find_active(session))
        active.require_fit(self._embedder)
        vectors = await self._embedder.embed([self._redact(query.text) for query in queries])
        for candidates in _CANDIDATES:
            # One more, since the incident asked about may be among them.
            hits = await self._search(active, vectors, as_of, candidates + 1)
            chosen, misses = await rank_hits(
                session, queries, hits, as_of=as_of, background=self._embedder.background, limit=limit
            )
            if not self._crowded(hits, candidates) or len(chosen) >= limit:
                break
        return Recall(await load_recollections(session, chosen), misses)

    def _crowded(self, hits: list[list[Hit]], candidates: int) -> bool:
        """Whether some query has more close incidents than were looked at."""
        return any(
            len(found) > candidates and found[-1].similarity > self._embedder.background for found in hits
        )

    async def _search(
        self, active: ActiveIndex, vectors: Vectors, as_of: datetime, limit: int
    ) -> list[list[Hit]]:
        try:
            return await self._index.query(active.collection, vectors, limit=limit, known_before=as_of)
        except CollectionMissing:
            # The session may see the database as it was before a rebuild that we have finished since.
            if self._latest is None or self._latest == active:
                raise
            self._latest.require_fit(self._embedder)
            return await self._index.query(self._latest.collection, vectors, limit=limit, known_before=as_of)

    async def _active(self) -> ActiveIndex | None:
        async with self._database.read() as session:
            return await find_active(session)

    async def _drop_leftovers(self) -> None:
        async with self._database.read() as session:
            old = await superseded(session)
        await collection.drop_leftovers(self._index, old)

    async def _open_or_start_anew(self) -> None:
        try:
            await self._index.open()
        except MemoryCorrupt:
            await self._index.start_anew()

    async def _update(self, active: ActiveIndex, progress: Progress) -> RowChanges:
        """Brings the active collection up to date; makes it where this copy of the index lacks it."""
        if active.collection not in await self._index.collections():
            return await collection.build(self._index, active.collection, self._entries, progress)
        return await collection.update(self._index, active.collection, self._entries, progress)

    async def _replace(self, old: ActiveIndex | None, progress: Progress) -> tuple[ActiveIndex, RowChanges]:
        """Builds a collection and lets it serve; if another process was faster, keeps theirs."""
        new = ActiveIndex.named_anew(self._embedder)
        rows = await collection.build(self._index, new.collection, self._entries, progress)
        if not await activate(self._database, new, instead_of=old):
            await self._index.drop(new.collection)
            winner = require_active(await self._active())
            winner.require_fit(self._embedder)
            return winner, await self._update(winner, progress)
        self._latest = new
        if old is not None:
            with contextlib.suppress(MemoryUnavailable):  # the next sync drops it
                await self._index.drop(old.collection)
        return new, rows


def _halves(progress: Progress | None) -> tuple[Progress, Progress]:
    """Progress of embedding and of indexing, each of which is half of the whole."""
    whole = 0

    def first(done: int, total: int) -> None:
        nonlocal whole
        whole = total
        if progress is not None:
            progress(done, 2 * whole)

    def second(done: int, total: int) -> None:
        if progress is not None:
            progress(whole + (whole * done // total if total else whole), 2 * whole)

    return first, second


def _report(active: ActiveIndex, embedded: int, removed: int, rows: RowChanges) -> SyncReport:
    return SyncReport(
        collection=active.collection,
        entries=rows.incidents,
        embedded=embedded,
        removed=removed,
        upserted=rows.upserted,
        deleted=rows.deleted,
    )
