"""The contract of a vector index: a derived store that can be lost and rebuilt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from memory.embedding.embedder import Vectors

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ROWS_PER_UPSERT = 100
"""A query waits for at most one upsert; in a folder with 10,000 rows this one takes some 200 ms."""
_ROWS_PER_READ = 2_000
"""Of stamps; parsing an answer of this length holds the interpreter lock for a few milliseconds."""
_IDS_PER_DELETE = 1_000


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


class VectorIndex(ABC):
    """Named collections of vectors compared by cosine.

    Every method can be repeated safely and fails only with MemoryUnavailable; methods that take the name of
    a collection, except `create` and `drop`, raise CollectionMissing if it does not exist.
    """

    min_self_hit_rate: ClassVar[float]
    """Share of the rows that must find themselves: 1 if the search is exact."""
    is_exclusive: ClassVar[bool]
    """True if no other process can use the stored collections at the same time."""

    @abstractmethod
    async def open(self) -> None:
        """Prepare the index. Idempotent; other methods do this by themselves."""

    @abstractmethod
    async def close(self) -> None:
        """Release the index. Idempotent; only `open` makes it usable again."""

    @abstractmethod
    async def reset(self) -> None:
        """Discard everything stored, which may be damaged, and open an empty index."""

    async def collections(self) -> frozenset[str]:
        """Return the names of all collections."""
        return frozenset(await self._call("collections"))

    async def create(self, collection: str) -> None:
        """Create an empty collection; an existing one stays as it is."""
        await self._call("create", collection=collection)

    async def drop(self, collection: str) -> None:
        """Remove a collection if it exists, and its bytes from disk if the store allows it."""
        await self._call("drop", collection=collection)

    async def upsert(self, collection: str, rows: IndexRows) -> None:
        """Store rows, replacing those with the same key, in batches that queries can pass between."""
        for start in range(0, len(rows.keys), _ROWS_PER_UPSERT):
            batch = slice(start, start + _ROWS_PER_UPSERT)
            await self._call(
                "upsert",
                collection=collection,
                keys=rows.keys[batch],
                vectors=rows.vectors[batch],
                stamps=rows.stamps[batch],
                known_at=[microseconds(moment) for moment in rows.known_at[batch]],
            )

    async def delete(self, collection: str, keys: Sequence[str]) -> None:
        """Remove rows; unknown keys are ignored."""
        for start in range(0, len(keys), _IDS_PER_DELETE):
            await self._call("delete", collection=collection, keys=keys[start : start + _IDS_PER_DELETE])

    async def query(
        self, collection: str, vectors: Vectors, *, limit: int, known_before: datetime | None = None
    ) -> list[list[Neighbor]]:
        """Return for each vector the closest rows known before the moment, closest first."""
        before = None if known_before is None else microseconds(known_before)
        found = []
        for vector in vectors:
            pairs = await self._call(
                "query", collection=collection, vector=vector, limit=limit, before=before
            )
            found.append([Neighbor(key, similarity) for key, similarity in pairs])
        return found

    async def stamps(self, collection: str) -> Mapping[str, str]:
        """Return the stamp of every stored row by key.

        If another process removes rows at the same time, some others may be missing.
        """
        stamps: dict[str, str] = {}
        offset = 0
        while True:
            page = await self._call("stamps", collection=collection, limit=_ROWS_PER_READ, offset=offset)
            stamps |= page
            offset += len(page)
            if len(page) < _ROWS_PER_READ:
                return stamps

    async def count(self, collection: str) -> int:
        """Return the number of stored rows."""
        return int(await self._call("count", collection=collection))

    @abstractmethod
    async def _call(self, operation: str, **arguments: Any) -> Any:
        """Return the result of an operation; moments are in microseconds since 1970."""


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970: integers compare exactly, and the database stores no finer times."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
