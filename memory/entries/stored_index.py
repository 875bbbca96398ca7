"""A vector index that holds nothing of its own: it searches the embeddings in the database, exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import func, select
from typing_extensions import override

from memory.embedding.embedder import Embedder, Vectors
from memory.entries.texts import is_recallable
from memory.errors import MemoryReadOnly
from memory.index.contract import VectorIndex, microseconds
from memory.index.vector_table import VectorTable
from memory.text.recipe import RECIPE
from models import Incident, MemoryEntry
from models.database import Database, ReadSession

_ENTRIES_PER_READ = 2_000
"""Some 3 MB."""


class StoredIndex(VectorIndex):
    """The index of a process that only asks: nothing to start, to lock or to keep up to date.

    Its only collection is that of the embedder's model and the current recipe. It keeps a table of the
    embeddings in memory, read again when the entries have changed.
    """

    min_self_hit_rate = 1.0
    is_exclusive = False

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._table = VectorTable()
        self._version: object = None
        """Of the entries in the table."""
        self._reading = asyncio.Lock()

    @override
    async def open(self) -> None:
        """Read the embeddings, so that the first question need not wait for them."""
        await self._embedder.load()
        await self._current()

    @override
    async def close(self) -> None:
        """Do nothing."""

    @override
    async def reset(self) -> None:
        """Raise MemoryReadOnly."""
        await self._call("reset")

    @override
    async def _call(self, operation: str, **arguments: Any) -> Any:
        if operation != "query":
            raise MemoryReadOnly("this process only asks; `arcpoint memory` changes incident memory")
        table = await self._current()
        return table.nearest(arguments["vector"], limit=arguments["limit"], before=arguments["before"])

    async def _current(self) -> VectorTable:
        """Return a table of the entries as they are now."""
        async with self._reading, self._database.read() as session:
            of_model = (
                (MemoryEntry.model_id == self._embedder.model_id)
                & (MemoryEntry.weights_hash == self._embedder.weights_hash)
                & (MemoryEntry.recipe == RECIPE)
                & (func.length(MemoryEntry.embedding) == 4 * self._embedder.dimension)
                & is_recallable()
            )
            version = (
                await session.execute(
                    select(func.count(), func.max(MemoryEntry.id), func.max(MemoryEntry.embedded_at))
                    .select_from(MemoryEntry)
                    .join(Incident)
                    .where(of_model)
                )
            ).one()
            if version != self._version:
                self._table, self._version = await _read_table(session, of_model), version
            return self._table


async def _read_table(session: ReadSession, condition: Any) -> VectorTable:
    rows: dict[str, tuple[int, Vectors]] = {}
    last = 0
    while page := (
        await session.execute(
            select(MemoryEntry.id, MemoryEntry.content_hash, MemoryEntry.known_at, MemoryEntry.embedding)
            .join(Incident)
            .where(condition, MemoryEntry.id > last)
            .order_by(MemoryEntry.id)
            .limit(_ENTRIES_PER_READ)
        )
    ).all():
        last = page[-1].id
        _add(rows, page)
    table = VectorTable()
    table.put(rows, [vector for _, vector in rows.values()], [known_at for known_at, _ in rows.values()])
    return table


def _add(rows: dict[str, tuple[int, Vectors]], page: Sequence[Any]) -> None:
    """Add entries; those with the same text share a row, known from the first of them on."""
    for _, key, moment, embedding in page:
        known_at = microseconds(moment)
        vector = np.frombuffer(embedding, dtype="<f4")
        rows[key] = (min(known_at, rows[key][0]) if key in rows else known_at, vector)
