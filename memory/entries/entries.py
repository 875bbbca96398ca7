"""The entries of memory in the database: the texts of every resolved incident and their embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Executable, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from memory.embedding.embedder import Embedder, Vectors
from memory.entries.changes import Changes, Progress
from memory.entries.texts import Draft, drafts, is_recallable, select_recallable
from memory.text.lexical import names
from memory.text.recipe import RECIPE, Redact
from models import EntrySource, Incident, MemoryEntry, MemoryName
from models.database import Database, WriteSession

_INCIDENTS_PER_READ = 200
_TEXTS_PER_EMBEDDING = 12
"""A killed run repeats at most this many, and a question waits for at most as many, some 0.4 s of a core.
Larger batches are no faster on a processor: their texts are padded to the longest."""
_ENTRIES_PER_READ = 2_000
"""Some 10 ms of the event loop."""
_IDENTITY = ("incident_id", "source", "model_id", "weights_hash", "recipe")


@dataclass(frozen=True, slots=True)
class EntryText:
    """A text that one or more entries share: one row of the index."""

    first_known_at: datetime
    entry_id: int
    """One of the entries, from which to load the embedding."""
    incidents: int
    """Incidents with this text as that of their record."""

    @property
    def stamp(self) -> str:
        """Changes with anything in the row besides its key, which is the hash of the text."""
        return self.first_known_at.isoformat()


class Entries:
    """The entries of one database under one embedding model, the current recipe and one redaction."""

    def __init__(self, database: Database, embedder: Embedder, redact: Redact) -> None:
        self._database = database
        self._embedder = embedder
        self._redact = redact

    async def refresh(self, progress: Progress) -> Changes:
        """Bring all entries up to date, embedding only what is new or changed. Safe to kill and repeat."""
        changes = Changes(removed=await self._remove_unrecallable(None))
        done = last = 0
        [(total,)] = await self._read(select(func.count()).select_from(Incident).where(is_recallable()))
        progress(0, total)
        page = select_recallable().order_by(Incident.id).limit(_INCIDENTS_PER_READ)
        while rows := await self._read(page.where(Incident.id > last)):
            last = rows[-1].id

            def embedded(share: float, *, before: int = done, more: int = len(rows)) -> None:
                progress(min(before + int(share * more), total), total)

            changes += await self._refresh([row.id for row in rows], rows, embedded)
            done += len(rows)
            progress(min(done, total), total)
        return changes

    async def refresh_incidents(self, incident_ids: Collection[int]) -> Changes:
        """Bring the entries of some incidents up to date, deleted ones included. Safe to kill and repeat."""
        removed = await self._remove_unrecallable(incident_ids)
        rows = await self._read(select_recallable().where(Incident.id.in_(incident_ids)))
        return Changes(removed=removed) + await self._refresh(incident_ids, rows, lambda _: None)

    async def texts(self, keys: Collection[str] | None = None) -> dict[str, EntryText]:
        """Return what the index has to hold by key (the hash of the text), for some keys or for all."""
        texts: dict[str, EntryText] = {}
        last = 0
        of_keys = [] if keys is None else [MemoryEntry.content_hash.in_(keys)]
        while rows := await self._read(
            select(MemoryEntry.id, MemoryEntry.source, MemoryEntry.content_hash, MemoryEntry.known_at)
            .join(Incident)
            .where(self._ours(), self._whole(), is_recallable(), MemoryEntry.id > last, *of_keys)
            .order_by(MemoryEntry.id)
            .limit(_ENTRIES_PER_READ)
        ):
            last = rows[-1].id
            for entry_id, source, key, known_at in rows:
                known = texts.get(key) or EntryText(known_at, entry_id, 0)
                texts[key] = EntryText(
                    min(known.first_known_at, known_at),
                    known.entry_id,
                    known.incidents + (source == EntrySource.INCIDENT),
                )
        return texts

    async def vectors(self, entry_ids: Sequence[int]) -> dict[str, Vectors]:
        """Return the embeddings of those entries that still exist, by the hash of their text."""
        rows = await self._read(
            select(MemoryEntry.content_hash, MemoryEntry.embedding).where(
                self._ours(), self._whole(), MemoryEntry.id.in_(entry_ids)
            )
        )
        return {row.content_hash: np.frombuffer(row.embedding, dtype="<f4") for row in rows}

    def _ours(self) -> ColumnElement[bool]:
        """Return the condition for entries of this model and recipe."""
        return (
            (MemoryEntry.model_id == self._embedder.model_id)
            & (MemoryEntry.weights_hash == self._embedder.weights_hash)
            & (MemoryEntry.recipe == RECIPE)
        )

    def _whole(self) -> ColumnElement[bool]:
        """Return the condition for entries whose embedding has the model's dimension."""
        return func.length(MemoryEntry.embedding) == 4 * self._embedder.dimension

    async def _read(self, statement: Executable) -> Sequence[Any]:
        """Read in a transaction of its own: a long one would keep the write-ahead log from shrinking."""
        async with self._database.read() as session:
            return (await session.execute(statement)).all()

    async def _remove_unrecallable(self, incident_ids: Collection[int] | None) -> int:
        """Remove the entries, of any model, of incidents no longer in memory; return how many incidents."""
        of_ids = [] if incident_ids is None else [MemoryEntry.incident_id.in_(incident_ids)]
        async with self._database.write() as session:
            gone = await session.scalars(
                delete(MemoryEntry)
                .where(MemoryEntry.incident_id.not_in(select(Incident.id).where(is_recallable())), *of_ids)
                .returning(MemoryEntry.incident_id)
            )
            return len(set(gone))

    async def _refresh(
        self, incident_ids: Collection[int], rows: Sequence[Any], progress: Callable[[float], None]
    ) -> Changes:
        """Refresh incidents, of which `rows` are in memory; `progress` gets the share embedded, 0 to 1."""
        stored = await self._read(
            select(
                MemoryEntry.id,
                MemoryEntry.incident_id,
                MemoryEntry.source,
                MemoryEntry.content_hash,
                MemoryEntry.known_at,
                func.length(MemoryEntry.embedding).label("embedding_bytes"),
            ).where(self._ours(), MemoryEntry.incident_id.in_(incident_ids))
        )
        new, moved, surplus = await asyncio.to_thread(self._plan, rows, stored)
        if surplus or moved:
            async with self._database.write() as session:
                await session.execute(delete(MemoryEntry).where(MemoryEntry.id.in_(surplus)))
                if moved:
                    await session.execute(update(MemoryEntry), moved)
                for entry in moved:
                    named = update(MemoryName).where(MemoryName.entry_id == entry["id"])
                    await session.execute(named.values(known_at=entry["known_at"]))
        embedded = 0
        for start in range(0, len(new), _TEXTS_PER_EMBEDDING):
            batch = new[start : start + _TEXTS_PER_EMBEDDING]
            embedded += await self._embed(batch)
            progress((start + len(batch)) / len(new))
        return Changes(embedded=embedded)

    def _plan(
        self, rows: Sequence[Any], stored: Sequence[Any]
    ) -> tuple[list[Draft], list[dict[str, Any]], list[int]]:
        """Return entries to embed, entries of which only `known_at` moves, and ids of entries to remove."""
        size = 4 * self._embedder.dimension
        held = {(entry.incident_id, entry.source): entry for entry in stored}
        new: list[Draft] = []
        moved: list[dict[str, Any]] = []
        for draft in drafts(rows, self._embedder, self._redact):
            entry = held.pop((draft.incident_id, draft.source), None)
            if entry is None or entry.content_hash != draft.content_hash or entry.embedding_bytes != size:
                new.append(draft)
            elif entry.known_at != draft.known_at:
                moved.append({"id": entry.id, "known_at": draft.known_at})
        return new, moved, [entry.id for entry in held.values()]

    async def _embed(self, batch: Sequence[Draft]) -> int:
        vectors = await self._embedder.embed([draft.text for draft in batch])
        now = datetime.now(UTC)
        rows = [
            {
                "incident_id": draft.incident_id,
                "source": draft.source,
                "text": draft.text,
                "content_hash": draft.content_hash,
                "embedding": np.asarray(vector, dtype="<f4").tobytes(),
                "model_id": self._embedder.model_id,
                "weights_hash": self._embedder.weights_hash,
                "recipe": RECIPE,
                "known_at": draft.known_at,
                "embedded_at": now,
            }
            for draft, vector in zip(batch, vectors, strict=True)
        ]
        return await self._store(rows)

    async def _store(self, rows: Sequence[dict[str, Any]]) -> int:
        """Write the entries of incidents still in memory and return their number; the last writer wins."""
        dialect = sqlite if self._database.is_sqlite else postgresql
        statement = dialect.insert(MemoryEntry)
        columns = {name: statement.excluded[name] for name in rows[0] if name not in _IDENTITY}
        statement = statement.on_conflict_do_update(index_elements=_IDENTITY, set_=columns)
        async with self._database.write() as session:
            # Locked, in one order, so that none is deleted or reopened before its entry is written.
            held = set(
                await session.scalars(
                    select(Incident.id)
                    .where(Incident.id.in_({row["incident_id"] for row in rows}), is_recallable())
                    .order_by(Incident.id)
                    .with_for_update(read=True)
                )
            )
            chosen = [row for row in rows if row["incident_id"] in held]
            if chosen:
                await session.execute(statement, chosen)
                await _store_names(session, chosen)
        return len(chosen)


async def _store_names(session: WriteSession, rows: Sequence[dict[str, Any]]) -> None:
    """Replace the identifiers by which entries just written are found."""
    written = await session.execute(
        select(MemoryEntry.id, MemoryEntry.text, MemoryEntry.known_at).where(
            MemoryEntry.incident_id.in_({row["incident_id"] for row in rows}),
            MemoryEntry.content_hash.in_({row["content_hash"] for row in rows}),
        )
    )
    entries = written.all()
    await session.execute(delete(MemoryName).where(MemoryName.entry_id.in_([entry.id for entry in entries])))
    found = [
        {"name": name, "known_at": entry.known_at, "entry_id": entry.id}
        for entry in entries
        for name in names(entry.text)
    ]
    if found:
        await session.execute(insert(MemoryName), found)
