"""Entries that hold what a query names, found by the database: an embedding blurs ids, versions and codes."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import numpy as np
from sqlalchemy import select, union_all

from memory.embedding.embedder import Vectors
from memory.index.active_index import BuiltIndex
from memory.index.contract import Hit
from memory.index.vector_table import DECIMALS
from memory.text.lexical import Wording
from models import MemoryEntry, MemoryName
from models.database import ReadSession

NEWEST_OF_EACH = 20
"""Entries looked at for each name: what hundreds of entries hold tells no more than the embedding does.
Of an incident's record and its postmortem, and of the models kept, each entry counts."""


async def with_named(
    session: ReadSession,
    wanted: Sequence[Wording],
    vectors: Vectors,
    hits: Sequence[Sequence[Hit]],
    *,
    active: BuiltIndex,
    known_before: datetime,
) -> list[list[Hit]]:
    """For each query the hits of the index, and the newest entries besides that hold what the query names."""
    return [
        [*found, *await _naming(session, each, vector, active, known_before, {hit.key for hit in found})]
        for each, vector, found in zip(wanted, vectors, hits, strict=True)
    ]


async def _naming(
    session: ReadSession,
    wanted: Wording,
    vector: Vectors,
    active: BuiltIndex,
    known_before: datetime,
    besides: AbstractSet[str],
) -> list[Hit]:
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
        Hit(key, float(np.round(stored[key] @ vector, DECIMALS).clip(-1, 1)))
        for key in sorted(stored.keys() - besides)
        if len(stored[key]) == active.dimension
    ]
