"""Keeps memory equal to the database: entries, collections and the switch from one collection to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from memory.embedding.embedder import Embedder
from memory.entries.entries import Entries, EntryChanges, Progress
from memory.entries.outbox import Outbox
from memory.errors import MemoryCorrupt, MemoryReadOnly, MemoryUnavailable, UnknownIndex
from memory.index.active_index import (
    BuiltIndex,
    KeptIndex,
    activate,
    dropped,
    find_active,
    give_up,
    kept,
    mark_dropped,
    register,
    require_active,
    unserved,
)
from memory.index.contract import VectorIndex
from memory.maintenance import collection
from memory.maintenance.collection import RowChanges
from memory.maintenance.forgetting import Forgotten, erase
from models.database import Database

_ROWS_AT_ONCE = 200
"""Of the outbox; a killed run repeats at most this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What bringing memory up to date has changed."""

    collection: str
    entries: int
    """Incidents in memory now; after `keep_up` those that it has looked at."""
    embedded: int
    removed: int
    """Incidents that memory no longer holds."""
    upserted: int
    deleted: int
    """Rows of the index that no entry stood behind."""


class Upkeep:
    """What changes memory. One change at a time in a process; any may be killed, repeated and run twice."""

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
        """Compares all entries and the whole active collection with the database and mends what differs.

        Makes the first collection if there is none. Raises MemoryUnavailable.
        """
        first, second = _halves(progress)
        async with self._changing():
            active = await self._active()
            if active is not None:
                active.require_fit(self._embedder)
            queued, changes = await self._refreshed(first)
            await self._drop_leftovers()
            if active is None:
                active, rows = await self._replace(None, second)
            else:
                rows = await self._update(active, second)
            await self._settle(queued, active)
        return _report(active, changes, rows)

    async def keep_up(self) -> SyncReport:
        """Takes in what the outbox holds; the first time in a process, or without an index, all of memory.

        Costs three short queries when nothing has changed. Raises MemoryUnavailable.
        """
        active = await self._active()
        if active is None or active.collection != self._compared:
            return await self.sync()
        async with self._changing():
            active.require_fit(self._embedder)
            changes, rows = EntryChanges(0, 0), RowChanges(0, 0, 0)
            while (queued := await self._outbox.incidents(_ROWS_AT_ONCE)).rows:
                changes += await self._entries.take_in(queued.subjects)
                await self._outbox.settle(queued.rows)
            while (queued := await self._outbox.keys(_ROWS_AT_ONCE)).rows:
                rows += await collection.apply(self._index, active.collection, self._entries, queued.subjects)
                if not await self._settle(queued.rows, active):
                    break
        return _report(active, changes, rows)

    async def rebuild(self, progress: Progress | None = None) -> SyncReport:
        """Builds and verifies a new collection from the entries, then lets it serve.

        The old one serves until then, and stays until it is dropped. What cannot be read is moved aside.
        Raises MemoryUnavailable.
        """
        async with self._changing():
            return await self._rebuild(progress)

    async def activate(self, name: str) -> SyncReport:
        """Lets a kept collection serve again, once it is up to date.

        Raises MemoryUnavailable and UnknownIndex.
        """
        async with self._changing():
            chosen = next((each.index for each in await self.kept() if each.index.collection == name), None)
            if chosen is None:
                raise UnknownIndex(f"no collection {name} is kept; see `arcpoint memory status`")
            chosen.require_fit(self._embedder)
            old = await self._active()
            queued, changes = await self._refreshed(_silent)
            rows = await self._update(chosen, _silent)
            if old != chosen and not await activate(self._database, chosen, instead_of=old):
                raise MemoryUnavailable(
                    "another process has just changed the active index; look, then repeat"
                )
            await self._settle(queued, chosen)
        return _report(chosen, changes, rows)

    async def drop(self, name: str) -> None:
        """Removes a kept collection that does not serve. Raises MemoryUnavailable, UnknownIndex."""
        async with self._changing():
            if not await mark_dropped(self._database, name):
                raise UnknownIndex(
                    f"no collection {name} is kept beside the active one; see `arcpoint memory status`"
                )
            await self._index.drop(name)
            await self._index.compact()

    async def kept(self) -> tuple[KeptIndex, ...]:
        """All collections that there still are, the newest first."""
        async with self._database.read() as session:
            return await kept(session)

    async def forget(
        self, incidents: Sequence[str], *, at: datetime, progress: Progress | None = None
    ) -> tuple[Forgotten, ...]:
        """Erases the texts of incidents, and every vector made of them, from the database and the index.

        The collection is built anew and all others are dropped: a store keeps the bytes of a deleted row.
        Repeating it finishes what a kill or a failing index has left. Raises UnknownIncident before
        anything is changed, and MemoryUnavailable when the texts are gone but the vectors are not yet.
        """
        self._require_writable()
        forgotten = await erase(self._database, incidents, at=at)
        try:
            async with self._changing():
                await self._rebuild_alone(progress)
        except MemoryUnavailable as error:
            raise MemoryUnavailable(
                f"the texts are erased, but vectors may be left: {error}; then forget it again"
            ) from None
        return forgotten

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Holds off other changes of this process while one is made, with the model ready."""
        self._require_writable()
        async with self._one_at_a_time:
            await self._embedder.load()
            yield

    def _require_writable(self) -> None:
        if self._database.read_only:
            raise MemoryReadOnly(
                "memory is opened for reading only (ARCPOINT_READ_ONLY); nothing was changed"
            )

    async def _rebuild(self, progress: Progress | None) -> SyncReport:
        first, second = _halves(progress)
        await self._open_or_start_anew()
        queued, changes = await self._refreshed(first)
        old = await self._active()
        try:
            await self._drop_leftovers()
            active, rows = await self._replace(old, second)
        except MemoryCorrupt:
            await self._index.start_anew()
            active, rows = await self._replace(old, second)
        await self._settle(queued, active)
        return _report(active, changes, rows)

    async def _refreshed(self, progress: Progress) -> tuple[tuple[int, ...], EntryChanges]:
        """Entries brought up to date, and what of the outbox is done once the whole index is, too."""
        queued = await self._outbox.incident_rows()
        changes = await self._entries.refresh(progress)
        return queued + await self._outbox.key_rows(), changes

    async def _rebuild_alone(self, progress: Progress | None) -> None:
        """A new collection and no other, with nothing left of what was in them."""
        if await self._active() is None:
            return
        await self._rebuild(progress)
        for each in await self.kept():
            if not each.serves and await mark_dropped(self._database, each.index.collection):
                await self._index.drop(each.index.collection)
        await self._index.compact()

    async def _active(self) -> BuiltIndex | None:
        async with self._database.read() as session:
            return await find_active(session)

    async def _settle(self, rows: Sequence[int], active: BuiltIndex) -> bool:
        """Removes rows of the outbox, unless another collection has come to serve, which may lack them."""
        if await self._active() != active:
            return False
        await self._outbox.settle(rows)
        return True

    async def _drop_leftovers(self) -> None:
        async with self._database.read() as session:
            gone, never_served = await dropped(session), await unserved(session)
        left = await collection.drop_leftovers(self._index, gone, never_served)
        if left:
            await give_up(self._database, left)

    async def _open_or_start_anew(self) -> None:
        try:
            await self._index.open()
        except MemoryCorrupt:
            await self._index.start_anew()

    async def _update(self, active: BuiltIndex, progress: Progress) -> RowChanges:
        """Brings a collection up to date; makes it where this copy of the index lacks it."""
        if active.collection not in await self._index.collections():
            rows = await collection.build(self._index, active.collection, self._entries, progress)
        else:
            rows = await collection.update(self._index, active.collection, self._entries, progress)
        self._compared = active.collection
        return rows

    async def _replace(self, old: BuiltIndex | None, progress: Progress) -> tuple[BuiltIndex, RowChanges]:
        """Builds a collection and lets it serve; if another process was faster, keeps theirs."""
        new = BuiltIndex.named_anew(self._embedder)
        with collection.construction(new.collection):
            await register(self._database, new)
            built = await collection.build(self._index, new.collection, self._entries, progress)
            if not await activate(self._database, new, instead_of=old):
                await give_up(self._database, [new.collection])
                await self._index.drop(new.collection)
                winner = require_active(await self._active())
                winner.require_fit(self._embedder)
                return winner, await self._update(winner, progress)
        # What others took into the old collection while this one was built.
        missed = await self._update(new, _silent)
        rows = RowChanges(missed.incidents, built.upserted + missed.upserted, built.deleted + missed.deleted)
        return new, rows


def _silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


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


def _report(active: BuiltIndex, changes: EntryChanges, rows: RowChanges) -> SyncReport:
    return SyncReport(
        collection=active.collection,
        entries=rows.incidents,
        embedded=changes.embedded,
        removed=changes.removed,
        upserted=rows.upserted,
        deleted=rows.deleted,
    )
