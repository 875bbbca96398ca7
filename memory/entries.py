"""Keeps one entry per resolved incident: its retrieval text and embedding, in the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Executable, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from memory.embedder import Embedder, Vectors
from memory.recipe import (
    MAX_CAUSE,
    MAX_RESOLUTION,
    MAX_SYMPTOMS,
    MAX_TITLE,
    RECIPE,
    IncidentFacts,
    content_hash,
    incident_text,
)
from models import EntrySource, Incident, IncidentStatus, MemoryEntry
from models.database import Database

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""

Redact = Callable[[str], str]
"""Replaces secrets in a text before it is embedded or stored."""

_INCIDENTS_PER_READ = 200
_TEXTS_PER_EMBEDDING = 32
"""A killed run repeats at most this many."""
_ENTRIES_PER_READ = 2_000
"""Some 10 ms of the event loop."""


@dataclass(frozen=True, slots=True)
class EntryChanges:
    """What bringing the entries up to date has changed."""

    embedded: int
    removed: int


@dataclass(frozen=True, slots=True)
class EntryText:
    """A text that one or more resolved incidents share, which is one row of the index."""

    first_known_at: datetime
    incident_id: int
    """One of the incidents, to load its embedding by."""
    incidents: int
    """How many there are."""

    @property
    def stamp(self) -> str:
        """Changes with all that a row holds besides its key, which is the hash of the text."""
        return self.first_known_at.isoformat()


@dataclass(frozen=True, slots=True)
class _Draft:
    incident_id: int
    text: str
    content_hash: str


def resolved() -> ColumnElement[bool]:
    """The incidents that memory holds."""
    return Incident.status == IncidentStatus.RESOLVED


def part(column: Any, longest: int) -> ColumnElement[str]:
    """The beginning of a text: enough for the recipe, however long the whole is."""
    return func.substr(column, 1, 2 * longest)


class Entries:
    """The entries of one database under one embedding model, the current recipe and one redaction."""

    def __init__(self, database: Database, embedder: Embedder, redact: Redact) -> None:
        self._database = database
        self._embedder = embedder
        self._redact = redact

    async def refresh(self, progress: Progress) -> EntryChanges:
        """Embeds what is new or changed and removes what is no longer resolved. Safe to kill and repeat."""
        embedded = done = last = 0
        removed = await self._remove_unresolved()
        [(total,)] = await self._read(select(func.count()).select_from(Incident).where(resolved()))
        progress(0, total)
        while rows := await self._read(_incidents_after(last)):
            last = rows[-1].id
            changed = await asyncio.to_thread(self._changed, rows)
            done += len(rows) - len(changed)
            for start in range(0, len(changed), _TEXTS_PER_EMBEDDING):
                batch = changed[start : start + _TEXTS_PER_EMBEDDING]
                embedded += await self._embed(batch)
                done += len(batch)
                progress(min(done, total), total)
            progress(min(done, total), total)
        return EntryChanges(embedded, removed)

    async def texts(self) -> dict[str, EntryText]:
        """What the index has to hold, by the hash of the text."""
        texts: dict[str, EntryText] = {}
        last = 0
        while rows := await self._read(
            select(MemoryEntry.incident_id, MemoryEntry.content_hash, Incident.resolved_at)
            .join(Incident)
            .where(self._ours(), resolved(), MemoryEntry.incident_id > last)
            .order_by(MemoryEntry.incident_id)
            .limit(_ENTRIES_PER_READ)
        ):
            last = rows[-1].incident_id
            for incident_id, key, resolved_at in rows:
                known = texts.get(key) or EntryText(resolved_at, incident_id, 0)
                first = min(known.first_known_at, resolved_at)
                texts[key] = EntryText(first, known.incident_id, known.incidents + 1)
        return texts

    async def vectors(self, incident_ids: Sequence[int]) -> dict[str, Vectors]:
        """The embeddings of those incidents that still have one, by the hash of their text."""
        rows = await self._read(
            select(MemoryEntry.content_hash, MemoryEntry.embedding).where(
                self._ours(), MemoryEntry.incident_id.in_(incident_ids)
            )
        )
        return {row.content_hash: np.frombuffer(row.embedding, dtype="<f4") for row in rows}

    def _ours(self) -> ColumnElement[bool]:
        """Entries that this model and recipe made, with as many numbers as they must have."""
        return (
            (MemoryEntry.model_id == self._embedder.model_id)
            & (MemoryEntry.weights_hash == self._embedder.weights_hash)
            & (MemoryEntry.recipe == RECIPE)
            & (func.length(MemoryEntry.embedding) == 4 * self._embedder.dimension)
        )

    async def _read(self, statement: Executable) -> Sequence[Any]:
        """A short transaction per page: a long one would keep the write-ahead log from shrinking."""
        async with self._database.read() as session:
            return (await session.execute(statement)).all()

    async def _remove_unresolved(self) -> int:
        async with self._database.write() as session:
            gone = await session.execute(
                delete(MemoryEntry)
                .where(MemoryEntry.incident_id.not_in(select(Incident.id).where(resolved())))
                .returning(MemoryEntry.id)
            )
            return len(gone.all())

    def _changed(self, rows: Sequence[Any]) -> list[_Draft]:
        """Drafts of those incidents whose entry is missing or not what it would be if made now."""
        size = 4 * self._embedder.dimension
        drafts = ((row, self._draft(row)) for row in rows)
        return [
            draft
            for row, draft in drafts
            if row.content_hash != draft.content_hash or row.embedding_bytes != size
        ]

    def _draft(self, row: Any) -> _Draft:
        text = incident_text(
            IncidentFacts(
                title=self._redact(row.title),
                symptoms=self._redact(row.symptoms),
                target=row.target and self._redact(row.target),
                root_cause=row.root_cause and self._redact(row.root_cause),
                resolution=row.resolution and self._redact(row.resolution),
            )
        )
        digest = content_hash(
            text, model_id=self._embedder.model_id, weights_hash=self._embedder.weights_hash
        )
        return _Draft(row.id, text, digest)

    async def _embed(self, drafts: Sequence[_Draft]) -> int:
        vectors = await self._embedder.embed([draft.text for draft in drafts])
        now = datetime.now(UTC)
        rows = {
            draft.incident_id: {
                "incident_id": draft.incident_id,
                "text": draft.text,
                "content_hash": draft.content_hash,
                "embedding": np.asarray(vector, dtype="<f4").tobytes(),
                "model_id": self._embedder.model_id,
                "weights_hash": self._embedder.weights_hash,
                "recipe": RECIPE,
                "source": EntrySource.INCIDENT,
                "known_at": now,
                "embedded_at": now,
            }
            for draft, vector in zip(drafts, vectors, strict=True)
        }
        return await self._store(rows)

    async def _store(self, rows: Mapping[int, dict[str, Any]]) -> int:
        """Writes the entries of those incidents that are still resolved; of two writers the later wins."""
        dialect = sqlite if self._database.is_sqlite else postgresql
        statement = dialect.insert(MemoryEntry)
        columns = {name: statement.excluded[name] for name in next(iter(rows.values()))}
        statement = statement.on_conflict_do_update(
            index_elements=["incident_id", "source", "model_id", "weights_hash", "recipe"], set_=columns
        )
        async with self._database.write() as session:
            # Locked, in one order, so that none is deleted or reopened before the entry is in.
            still = await session.scalars(
                select(Incident.id)
                .where(Incident.id.in_(rows), resolved())
                .order_by(Incident.id)
                .with_for_update(read=True)
            )
            chosen = [rows[incident_id] for incident_id in still]
            if chosen:
                await session.execute(statement, chosen)
        return len(chosen)


def _incidents_after(last: int) -> Executable:
    return (
        select(
            Incident.id,
            part(Incident.title, MAX_TITLE).label("title"),
            part(Incident.symptoms, MAX_SYMPTOMS).label("symptoms"),
            Incident.target,
            part(Incident.root_cause, MAX_CAUSE).label("root_cause"),
            part(Incident.resolution, MAX_RESOLUTION).label("resolution"),
            MemoryEntry.content_hash,
            func.length(MemoryEntry.embedding).label("embedding_bytes"),
        )
        .outerjoin(MemoryEntry)
        .where(resolved(), Incident.id > last)
        .order_by(Incident.id)
        .limit(_INCIDENTS_PER_READ)
    )
