"""Entries with the identifiers of a query, found by the database: an embedding blurs ids and versions."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import cache

import numpy as np
from sqlalchemy import Executable, bindparam, select, union_all

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


@cache
def _select_containing(names: int) -> Executable:
    """Select the newest entries that contain any of some names; at most as many as a wording has."""
    as_of = bindparam("as_of", type_=MemoryName.known_at.type)
    newest = (
        select(MemoryName.entry_id)
        .where(MemoryName.name == bindparam(f"name_{place}"), MemoryName.known_at < as_of)
        .order_by(MemoryName.known_at.desc(), MemoryName.entry_id.desc())
        .limit(NEWEST_OF_EACH)
        .subquery()
        for place in range(names)
    )
    return select(MemoryEntry.content_hash, MemoryEntry.embedding).where(
        MemoryEntry.id.in_(union_all(*(select(each) for each in newest))),
        MemoryEntry.known_at < as_of,
        MemoryEntry.model_id == bindparam("model_id"),
        MemoryEntry.weights_hash == bindparam("weights_hash"),
        MemoryEntry.recipe == bindparam("recipe"),
    )


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
    origin = {"model_id": active.model_id, "weights_hash": active.weights_hash, "recipe": active.recipe}
    rows = await session.execute(
        _select_containing(len(wanted.identifiers)),
        {f"name_{place}": name for place, name in enumerate(wanted.identifiers)}
        | {"as_of": known_before, **origin},
    )
    stored = {row.content_hash: np.frombuffer(row.embedding, dtype="<f4") for row in rows}
    return [
        Neighbor(key, float(cosines(stored[key], vector)))
        for key in sorted(stored.keys() - besides)
        if len(stored[key]) == active.dimension
    ]
