"""The contract of a vector index: a derived store that can be lost and rebuilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from memory.embedding.embedder import Vectors


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored vector that is close to a queried one."""

    key: str
    similarity: float
    """Cosine, rounded so that the same vectors give the same number in any copy of the index."""


@dataclass(frozen=True, slots=True)
class IndexRows:
    """Rows to store, column by column; all four have the same length."""

    keys: Sequence[str]
    """One per text: incidents that read the same are one row, and the database tells them apart."""
    vectors: Vectors
    stamps: Sequence[str]
    """Says which version of the row is stored; compared, never interpreted."""
    known_at: Sequence[datetime]
    """From when on the text was known: when the first incident that reads so was over."""


class VectorIndex(Protocol):
    """Named collections of vectors compared by cosine.

    Every method raises MemoryUnavailable, and nothing else, on failure; those that are given the name
    of a collection raise CollectionMissing when there is none. All of them can be repeated safely.
    """

    @property
    def least_self_hits(self) -> float:
        """Share of the rows that must find themselves: 1 where the search is exact."""
        ...

    @property
    def is_exclusive(self) -> bool:
        """Whether no other process can use the same stored collections at the same time."""
        ...

    async def open(self) -> None:
        """Makes the index ready; quick when it is already. Other methods do this by themselves."""
        ...

    async def close(self) -> None:
        """Lets go of the index; harmless when it is not open. Only `open` makes it usable again."""
        ...

    async def start_anew(self) -> None:
        """Moves what is stored aside, and opens an empty index in its place."""
        ...

    async def collections(self) -> frozenset[str]:
        """The names of all collections."""
        ...

    async def create(self, collection: str) -> None:
        """Makes an empty collection; one of that name stays as it is."""
        ...

    async def rename(self, collection: str, name: str) -> None:
        """Gives a collection another name in one step; if there is one of that name, drops it instead."""
        ...

    async def drop(self, collection: str) -> None:
        """Removes a collection; harmless when there is none of that name."""
        ...

    async def upsert(self, collection: str, rows: IndexRows) -> None:
        """Stores rows, replacing those of the same key."""
        ...

    async def delete(self, collection: str, keys: Sequence[str]) -> None:
        """Removes rows; keys that are not stored are ignored."""
        ...

    async def compact(self) -> None:
        """Gives back the space of what was removed, so that no byte of it is left; may take seconds."""
        ...

    async def query(
        self, collection: str, vectors: Vectors, *, limit: int, known_before: datetime | None = None
    ) -> list[list[Hit]]:
        """For each vector the closest rows, closest first, that were known before the moment."""
        ...

    async def stamps(self, collection: str) -> Mapping[str, str]:
        """The stamp of every stored row by key."""
        ...

    async def count(self, collection: str) -> int:
        """How many rows are stored."""
        ...
