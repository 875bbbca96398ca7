"""Keeps entries and index equal to the database, and switches from one collection to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from memory.embedding.embedder import Embedder
from memory.entries.changes import Changes, Progress
from memory.entries.entries import Entries
from memory.entries.outbox import Outbox
from memory.errors import MemoryCorrupt, MemoryReadOnly, MemoryUnavailable, UnknownIndex
from memory.index.active_index import (
    BuiltIndex,
    KeptIndex,
    activate,
    drop_unserved,
    find_active,
    kept,
    mark_dropped,
    register,
    require_active,
)
from memory.index.contract import VectorIndex
from memory.maintenance import collection
from memory.maintenance.forgetting import Forgotten, erase
from models.database import Database

_ROWS_AT_ONCE = 200
"""Of the outbox; a killed run repeats at most this many."""
_ABANDONED_AFTER = timedelta(days=1)
"""No build takes as long, so that a collection that has not served by then is a killed process's."""
_under_construction: set[str] = set()
"""Collections that this process is building, for whichever memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport(Changes):
    """What an update of memory has changed, and in which collection."""

    collection: str


class IndexMaintenance:
    """All changes of memory. One at a time in a process; each may be killed, repeated and run twice."""

    def __init__(self, database: Database, embedder: Embedder, index: VectorIndex, entries: Entries) -> None:
        self._database = database
        self._embedder = embedder
        self._index = index
        self._entries = entries
        self._outbox = Outbox(database)
        self._one_at_a_time = asyncio.Lock()
        self._compared: str | None = None
        """The collection that this process has compared with the entries as a whole."""

    async def sync(self, progress: Progress | None = None) -> SyncReport:
        """Compare all entries and the whole active collection with the database and repair differences.

        Builds the first collection if there is none. Raises MemoryUnavailable.
        """
        first, second = _phases(progress)
        async with self._changing():
            active = await self._active()
            if active is not None:
                active.require_fit(self._embedder)
            pending, changes = await self._refresh_entries(first)
            await self._drop_leftovers()
            if active is None:
                active, rows = await self._replace(None, second)
            else:
                rows = await self._update(active, second)
            await self._acknowledge(pending, active)
        return _report(active, changes + rows)

    async def process_outbox(self) -> SyncReport:
        """Process the outbox; the first time in a process, or without an index, sync all of memory.

        Costs three short queries when nothing has changed. Raises MemoryUnavailable.
        """
        active = await self._active()
        if active is None or active.collection != self._compared:
            return await self.sync()
        async with self._changing():
            active.require_fit(self._embedder)
            changes = Changes()
            while (pending := await self._outbox.incidents(_ROWS_AT_ONCE)).rows:
                changes += await self._entries.refresh_incidents(pending.subjects)
                await self._outbox.acknowledge(pending.rows)
            while (pending := await self._outbox.keys(_ROWS_AT_ONCE)).rows:
                changes += await collection.update_rows(
                    self._index, active.collection, self._entries, pending.subjects
                )
                if not await self._acknowledge(pending.rows, active):
                    break
        return _report(active, changes)

    async def rebuild(self, progress: Progress | None = None) -> SyncReport:
        """Build and verify a new collection from the entries, then let it serve.

        The old one serves until then, and stays until it is dropped. A damaged index is reset.
        Raises MemoryUnavailable.
        """
        async with self._changing():
            return await self._rebuild(progress)

    async def activate(self, name: str) -> SyncReport:
        """Let a kept collection serve again, once it is up to date.

        Raises MemoryUnavailable and UnknownIndex.
        """
        async with self._changing():
            chosen = next((each.index for each in await self.kept() if each.index.collection == name), None)
            if chosen is None:
                raise UnknownIndex(f"no collection {name} is kept; see `arcpoint memory status`")
            chosen.require_fit(self._embedder)
            old = await self._active()
            pending, changes = await self._refresh_entries(_silent)
            changes += await self._update(chosen, _silent)
            if old != chosen and not await activate(self._database, chosen, instead_of=old):
                raise MemoryUnavailable(
                    "another process has just changed the active index; see `arcpoint memory status`"
                )
            await self._acknowledge(pending, chosen)
        return _report(chosen, changes)

    async def drop(self, name: str) -> None:
        """Remove a kept collection that does not serve. Raises MemoryUnavailable and UnknownIndex."""
        async with self._changing():
            if not await mark_dropped(self._database, name):
                raise UnknownIndex(
                    f"no collection {name} is kept beside the active one; see `arcpoint memory status`"
                )
            await self._index.drop(name)

    async def kept(self) -> tuple[KeptIndex, ...]:
        """Return all collections that serve or could serve again, newest first."""
        async with self._database.read() as session:
            return await kept(session)

    async def forget(
        self, incidents: Sequence[str], *, at: datetime, progress: Progress | None = None
    ) -> tuple[Forgotten, ...]:
        """Erase the texts of incidents, and every vector made of them, from the database and the index.

        The collection is rebuilt and all others are dropped: a store keeps the bytes of a deleted row.
        Repeating it finishes what a kill or a failing index has left. Raises UnknownIncident before
        anything is changed, and MemoryUnavailable when the texts are gone but the vectors are not yet.
        """
        self._require_writable()
        forgotten = await erase(self._database, incidents, at=at)
        try:
            async with self._changing():
                if await self._active() is not None:
                    await self._rebuild(progress)
                    await self._drop_unused()
        except MemoryUnavailable as error:
            raise MemoryUnavailable(
                f"the texts are erased, but vectors may be left: {error}; then forget it again"
            ) from None
        return forgotten

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Exclude other changes of this process, with the embedding model loaded."""
        self._require_writable()
        async with self._one_at_a_time:
            await self._embedder.load()
            yield

    def _require_writable(self) -> None:
        if self._database.read_only:
            raise MemoryReadOnly("memory is open read-only (ARCPOINT_READ_ONLY); nothing was changed")

    async def _rebuild(self, progress: Progress | None) -> SyncReport:
        first, second = _phases(progress)
        try:
            await self._index.open()
        except MemoryCorrupt:
            await self._index.reset()
        pending, changes = await self._refresh_entries(first)
        old = await self._active()
        try:
            await self._drop_leftovers()
            active, rows = await self._replace(old, second)
        except MemoryCorrupt:
            await self._index.reset()
            active, rows = await self._replace(old, second)
        await self._acknowledge(pending, active)
        return _report(active, changes + rows)

    async def _refresh_entries(self, progress: Progress) -> tuple[tuple[int, ...], Changes]:
        """Bring all entries up to date; return also the outbox rows that are done once the index is, too."""
        pending = (await self._outbox.incidents()).rows
        changes = await self._entries.refresh(progress)
        return pending + (await self._outbox.keys()).rows, changes

    async def _active(self) -> BuiltIndex | None:
        async with self._database.read() as session:
            return await find_active(session)

    async def _acknowledge(self, rows: Sequence[int], active: BuiltIndex) -> bool:
        """Acknowledge outbox rows unless another collection, which may lack them, has come to serve."""
        if await self._active() != active:
            return False
        await self._outbox.acknowledge(rows)
        return True

    async def _drop_leftovers(self) -> None:
        """Drop what killed processes have begun to build, and copies of dropped collections."""
        # No other process can be building in an exclusive index.
        age = timedelta(0) if self._index.is_exclusive else _ABANDONED_AFTER
        begun_before = datetime.now(UTC) - age
        dropped = await drop_unserved(
            self._database, begun_before=begun_before, except_for=_under_construction
        )
        for name in sorted(dropped & await self._index.collections()):
            await self._index.drop(name)

    async def _drop_unused(self) -> None:
        for each in await self.kept():
            if not each.serves and await mark_dropped(self._database, each.index.collection):
                await self._index.drop(each.index.collection)

    async def _update(self, active: BuiltIndex, progress: Progress) -> Changes:
        """Bring a collection up to date."""
        rows = await collection.update(self._index, active.collection, self._entries, progress)
        self._compared = active.collection
        return rows

    async def _replace(self, old: BuiltIndex | None, progress: Progress) -> tuple[BuiltIndex, Changes]:
        """Build a collection and let it serve; if another process was faster, update theirs instead."""
        new = BuiltIndex.with_new_name(self._embedder)
        with _construction(new.collection):
            await register(self._database, new)
            built = await collection.update(self._index, new.collection, self._entries, progress)
            serves = await activate(self._database, new, instead_of=old)
        if not serves:
            await self._index.drop(new.collection)
            winner = require_active(await self._active())
            winner.require_fit(self._embedder)
            return winner, await self._update(winner, progress)
        # What others wrote to the old collection while this one was built.
        missed = await self._update(new, _silent)
        return new, Changes(upserted=built.upserted, deleted=built.deleted) + missed


@contextmanager
def _construction(name: str) -> Iterator[None]:
    """Keep a collection from being taken for what a dead process left behind."""
    _under_construction.add(name)
    try:
        yield
    finally:
        _under_construction.discard(name)


def _silent(_done: int, _total: int) -> None:
    """Ignore progress."""


def _phases(progress: Progress | None) -> tuple[Progress, Progress]:
    """Return the progress of embedding and that of indexing, each half of the whole."""
    if progress is None:
        return _silent, _silent
    incidents = 0

    def embedding(done: int, total: int) -> None:
        nonlocal incidents
        incidents = total
        progress(done, 2 * incidents)

    def indexing(done: int, total: int) -> None:
        progress(incidents + (incidents * done // total if total else incidents), 2 * incidents)

    return embedding, indexing


def _report(active: BuiltIndex, changes: Changes) -> SyncReport:
    return SyncReport(collection=active.collection, **asdict(changes))
