"""Which collection serves recalls: one row of the database says so."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from memory.embedder import Embedder
from memory.errors import MemoryUnavailable
from memory.recipe import RECIPE
from models import MemoryIndex
from models.database import Database, ReadSession

_REBUILD = "run `arcpoint memory rebuild`"


@dataclass(frozen=True, slots=True)
class ActiveIndex:
    """A collection and what its vectors were made with."""

    collection: str
    model_id: str
    weights_hash: str
    recipe: str
    dimension: int

    @classmethod
    def named_anew(cls, embedder: Embedder) -> ActiveIndex:
        """A collection that does not exist yet, for the vectors of an embedder."""
        return cls(
            collection=f"incidents-{secrets.token_hex(8)}",
            model_id=embedder.model_id,
            weights_hash=embedder.weights_hash,
            recipe=RECIPE,
            dimension=embedder.dimension,
        )

    def require_fit(self, embedder: Embedder) -> None:
        """Raises MemoryUnavailable unless the embedder's vectors can be compared with the collection's."""
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


async def find_active(session: ReadSession) -> ActiveIndex | None:
    """The collection that serves, None before the first one is built."""
    row = await session.scalar(select(MemoryIndex).where(MemoryIndex.active))
    if row is None:
        return None
    return ActiveIndex(row.collection, row.model_id, row.weights_hash, row.recipe, row.dimension)


def require_active(active: ActiveIndex | None) -> ActiveIndex:
    """Raises MemoryUnavailable when there is no active index."""
    if active is None:
        raise MemoryUnavailable(f"no memory index has been built yet; {_REBUILD}")
    return active


async def activate(database: Database, new: ActiveIndex, *, instead_of: ActiveIndex | None) -> bool:
    """Lets a collection serve instead of another, in one transaction.

    False, with nothing changed, when another process has put a different one into its place meanwhile.
    """
    try:
        async with database.write() as session:
            if instead_of is not None:
                left = await session.scalar(
                    update(MemoryIndex)
                    .where(MemoryIndex.active, MemoryIndex.collection == instead_of.collection)
                    .values(active=False)
                    .returning(MemoryIndex.id)
                )
                if left is None:
                    return False
            session.add(
                MemoryIndex(
                    collection=new.collection,
                    model_id=new.model_id,
                    weights_hash=new.weights_hash,
                    recipe=new.recipe,
                    dimension=new.dimension,
                    active=True,
                    created_at=datetime.now(UTC),
                )
            )
    except IntegrityError:  # there is an active one that was not there before
        return False
    return True


async def superseded(session: ReadSession) -> frozenset[str]:
    """Collections that served once; a copy that is left of one is of no use."""
    return frozenset(await session.scalars(select(MemoryIndex.collection).where(~MemoryIndex.active)))
