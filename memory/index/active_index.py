"""The registry of collections in the database: which one serves recalls and which others are kept."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from memory.embedding.embedder import Embedder
from memory.errors import MemoryUnavailable
from memory.text.recipe import RECIPE
from models import MemoryEntry, MemoryIndex
from models.database import Database, ReadSession

_REBUILD = "run `arcpoint memory rebuild`"


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """A collection and what its vectors were made with."""

    collection: str
    model_id: str
    weights_hash: str
    recipe: str
    dimension: int

    @classmethod
    def with_new_name(cls, embedder: Embedder) -> BuiltIndex:
        """Return a collection that does not exist yet, for the vectors of an embedder."""
        return cls(
            collection=f"incidents-{secrets.token_hex(8)}",
            model_id=embedder.model_id,
            weights_hash=embedder.weights_hash,
            recipe=RECIPE,
            dimension=embedder.dimension,
        )

    def require_fit(self, embedder: Embedder) -> None:
        """Raise MemoryUnavailable unless the embedder's vectors can be compared with the collection's."""
        differences = [
            f"{name} is {stored} instead of {current}"
            for name, stored, current in (
                ("model", self.model_id, embedder.model_id),
                ("weights hash", self.weights_hash[:12], embedder.weights_hash[:12]),
                ("dimension", self.dimension, embedder.dimension),
                ("text recipe", self.recipe, RECIPE),
            )
            if stored != current
        ]
        if differences:
            raise MemoryUnavailable(f"the memory index was built differently: {differences[0]}; {_REBUILD}")


@dataclass(frozen=True, slots=True)
class KeptIndex:
    """A collection that serves or could serve again."""

    index: BuiltIndex
    serves: bool
    created_at: datetime


_ACTIVE = select(*(getattr(MemoryIndex, field.name) for field in fields(BuiltIndex))).where(
    MemoryIndex.active
)
"""Columns, not an object: every question reads them."""


async def find_active(session: ReadSession) -> BuiltIndex | None:
    """Return the collection that serves; None before the first one is built."""
    row = (await session.execute(_ACTIVE)).one_or_none()
    return None if row is None else _index(row)


async def kept(session: ReadSession) -> tuple[KeptIndex, ...]:
    """Return all collections that serve or could serve again, newest first."""
    rows = await session.scalars(
        select(MemoryIndex)
        .where(MemoryIndex.activated_at.is_not(None), MemoryIndex.dropped_at.is_(None))
        .order_by(MemoryIndex.id.desc())
    )
    return tuple(KeptIndex(_index(row), row.active, row.created_at) for row in rows)


def _index(row: Any) -> BuiltIndex:
    return BuiltIndex(row.collection, row.model_id, row.weights_hash, row.recipe, row.dimension)


def require_active(active: BuiltIndex | None) -> BuiltIndex:
    """Return the active index. Raises MemoryUnavailable if there is none."""
    if active is None:
        raise MemoryUnavailable(f"no memory index has been built yet; {_REBUILD}")
    return active


async def register(database: Database, new: BuiltIndex) -> None:
    """Record a collection before it is built, so that what a killed build leaves can be recognized."""
    async with database.write() as session:
        session.add(MemoryIndex(**asdict(new), active=False, created_at=datetime.now(UTC)))


async def activate(database: Database, new: BuiltIndex, *, instead_of: BuiltIndex | None) -> bool:
    """Let a registered collection serve instead of another, in one transaction.

    Returns False, with nothing changed, if another process has activated a different one meanwhile.
    """
    now = datetime.now(UTC)
    try:
        async with database.write() as session:
            if instead_of is not None:
                replaced = await session.scalar(
                    update(MemoryIndex)
                    .where(MemoryIndex.active, MemoryIndex.collection == instead_of.collection)
                    .values(active=False)
                    .returning(MemoryIndex.id)
                )
                if replaced is None:
                    return False
            await session.execute(
                update(MemoryIndex)
                .where(MemoryIndex.collection == new.collection)
                .values(active=True, activated_at=func.coalesce(MemoryIndex.activated_at, now))
            )
    except IntegrityError:  # another one is active that was not before
        return False
    return True


async def mark_dropped(database: Database, collection: str) -> bool:
    """Give up a kept collection, and the entries that no other kept one is made of.

    Returns False, with nothing changed, if it serves, is being built or is not kept.
    """
    async with database.write() as session:
        row = await session.scalar(
            update(MemoryIndex)
            .where(
                MemoryIndex.collection == collection,
                MemoryIndex.activated_at.is_not(None),
                ~MemoryIndex.active,
                MemoryIndex.dropped_at.is_(None),
            )
            .values(dropped_at=datetime.now(UTC))
            .returning(MemoryIndex)
        )
        if row is None:
            return False
        still_used = select(MemoryIndex.id).where(
            MemoryIndex.dropped_at.is_(None), *_same_origin(MemoryIndex, row)
        )
        if await session.scalar(still_used.limit(1)) is None:
            await session.execute(delete(MemoryEntry).where(*_same_origin(MemoryEntry, row)))
    return True


def _same_origin(table: type[MemoryEntry | MemoryIndex], row: MemoryIndex) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions for rows made by the same model and recipe."""
    for name in ("model_id", "weights_hash", "recipe"):
        yield getattr(table, name) == getattr(row, name)


async def drop_unserved(
    database: Database, *, begun_before: datetime, except_for: Collection[str] = ()
) -> frozenset[str]:
    """Mark as dropped what was begun before a moment and never served; return all that is marked so.

    The entries stay for the next collection.
    """
    async with database.write() as session:
        await session.execute(
            update(MemoryIndex)
            .where(
                MemoryIndex.activated_at.is_(None),
                MemoryIndex.dropped_at.is_(None),
                MemoryIndex.created_at < begun_before,
                MemoryIndex.collection.not_in(except_for),
            )
            .values(dropped_at=datetime.now(UTC))
        )
        names = await session.scalars(
            select(MemoryIndex.collection).where(MemoryIndex.dropped_at.is_not(None))
        )
        return frozenset(names)
