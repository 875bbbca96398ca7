"""The contract of a vector index: a derived store that can be lost and rebuilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from memory.embedding.embedder import Vectors


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A stored vector close to a queried one."""

    key: str
    similarity: float
    """Cosine, rounded so that the same vectors give the same number in any copy of the index."""


@dataclass(frozen=True, slots=True)
class IndexRows:
    """Rows to store, column by column; all four have the same length."""

    keys: Sequence[str]
    """One per text: incidents with the same text share a row, and the database tells them apart."""
    vectors: Vectors
    """n x dimension."""
    stamps: Sequence[str]
    """The stored version of each row; compared, never interpreted."""
    known_at: Sequence[datetime]
    """When each text became known: the resolution of the first incident with that text."""


class VectorIndex(Protocol):
    """Named collections of vectors compared by cosine.

    Every method can be repeated safely and fails only with MemoryUnavailable; methods that take the name of
    a collection, except `create` and `drop`, raise CollectionMissing if it does not exist.
    """

    @property
    def min_self_hit_rate(self) -> float:
        """Share of the rows that must find themselves: 1 if the search is exact."""
        ...

    @property
    def is_exclusive(self) -> bool:
        """True if no other process can use the stored collections at the same time."""
        ...

    async def open(self) -> None:
        """Prepare the index. Idempotent; other methods do this by themselves."""
        ...

    async def close(self) -> None:
        """Release the index. Idempotent; only `open` makes it usable again."""
        ...

    async def reset(self) -> None:
        """Discard everything stored, which may be damaged, and open an empty index."""
        ...

    async def collections(self) -> frozenset[str]:
        """Return the names of all collections."""
        ...

    async def create(self, collection: str) -> None:
        """Create an empty collection; an existing one stays as it is."""
        ...

    async def drop(self, collection: str) -> None:
        """Remove a collection if it exists, and its bytes from disk where the store allows it."""
        ...

    async def upsert(self, collection: str, rows: IndexRows) -> None:
        """Store rows, replacing those with the same key."""
        ...

    async def delete(self, collection: str, keys: Sequence[str]) -> None:
        """Remove rows; unknown keys are ignored."""
        ...

    async def query(
        self, collection: str, vectors: Vectors, *, limit: int, known_before: datetime | None = None
    ) -> list[list[Neighbor]]:
        """Return for each vector the closest rows known before the moment, closest first."""
        ...

    async def stamps(self, collection: str) -> Mapping[str, str]:
        """Return the stamp of every stored row by key."""
        ...

    async def count(self, collection: str) -> int:
        """Return the number of stored rows."""
        ...
