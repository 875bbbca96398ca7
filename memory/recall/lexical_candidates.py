"""Entries with the identifiers of a query, found by the database: an embedding blurs ids and versions."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import numpy as np
from sqlalchemy import select, union_all

from memory.embedding.embedder import Vectors
from memory.index.active_index import BuiltIndex
from memory.index.contract import Neighbor
from memory.index.vector_table import cosines
from memory.text.lexical import Wording
from models import MemoryEntry, MemoryName
from models.database import ReadSession

NEWEST_OF_EACH = 20
"""Entries looked at per identifier: what hundreds of entries contain adds nothing to the embedding.
The record and the postmortem of an incident count separately, and so do the models kept."""


async def with_identified(
    session: ReadSession,
    wanted: Sequence[Wording],
    vectors: Vectors,
    neighbors: Sequence[Sequence[Neighbor]],
    *,
    active: BuiltIndex,
    known_before: datetime,
) -> list[list[Neighbor]]:
    """Return for each query its neighbors, plus the newest entries that contain its identifiers."""
    return [
        [*found, *await _identified(session, each, vector, active, known_before, {one.key for one in found})]
        for each, vector, found in zip(wanted, vectors, neighbors, strict=True)
    ]


async def _identified(
    session: ReadSession,
    wanted: Wording,
    vector: Vectors,
    active: BuiltIndex,
    known_before: datetime,
    besides: AbstractSet[str],
) -> list[Neighbor]:
    if not wanted.identifiers:
        return []
    newest = (
        select(MemoryName.entry_id)
        .where(MemoryName.name == name, MemoryName.known_at < known_before)
        .order_by(MemoryName.known_at.desc(), MemoryName.entry_id.desc())
        .limit(NEWEST_OF_EACH)
        .subquery()
        for name in wanted.identifiers
    )
    rows = await session.execute(
        select(MemoryEntry.content_hash, MemoryEntry.embedding).where(
            MemoryEntry.id.in_(union_all(*(select(each) for each in newest))),
            MemoryEntry.known_at < known_before,
            MemoryEntry.model_id == active.model_id,
            MemoryEntry.weights_hash == active.weights_hash,
            MemoryEntry.recipe == active.recipe,
        )
    )
    stored = {row.content_hash: np.frombuffer(row.embedding, dtype="<f4") for row in rows}
    return [
        Neighbor(key, float(cosines(stored[key], vector)))
        for key in sorted(stored.keys() - besides)
        if len(stored[key]) == active.dimension
    ]
