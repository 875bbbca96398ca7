"""Exact nearest neighbors: every query is compared with every row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from memory.embedding.embedder import Vectors

_DECIMALS = 4
"""The last bits of a cosine depend on where in memory a row lies."""


def cosines(vectors: Vectors, query: Vectors) -> NDArray[np.float32]:
    """Return the cosine of each unit vector with a unit query, rounded to what is reproducible."""
    return np.round(vectors @ query, _DECIMALS).clip(-1, 1)


class VectorTable:
    """Unit vectors in memory, by key, each with the moment from which it may be found."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Vectors, int]] = {}
        self._columns: tuple[list[str], Vectors, NDArray[np.int64]] | None = None
        """The rows as arrays; None after a change."""

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, keys: Iterable[str], vectors: Iterable[Vectors], moments: Iterable[int]) -> None:
        """Store rows, replacing those with the same key."""
        self._rows |= zip(keys, zip(vectors, moments, strict=True), strict=True)
        self._columns = None

    def remove(self, keys: Sequence[str]) -> None:
        """Remove rows; unknown keys are ignored."""
        for key in keys:
            self._rows.pop(key, None)
        self._columns = None

    @property
    def dimension(self) -> int | None:
        """Length of the vectors; None for an empty table."""
        return next((len(vector) for vector, _ in self._rows.values()), None)

    def nearest(self, query: Vectors, *, limit: int, before: int | None) -> list[tuple[str, float]]:
        """Return keys and cosines of the closest rows with an earlier moment, closest first, then by key."""
        if not self._rows:
            return []
        if self._columns is None:
            vectors, moments = zip(*self._rows.values(), strict=True)
            self._columns = list(self._rows), np.stack(vectors), np.array(moments, dtype=np.int64)
            # Views of the matrix, so that every vector is in memory only once.
            self._rows = dict(zip(self._rows, zip(self._columns[1], moments, strict=True), strict=True))
        keys, stacked, known = self._columns
        rows = np.arange(len(keys)) if before is None else np.flatnonzero(known < before)
        # One query at a time: in a batch the last bits would depend on the other queries.
        found = cosines(stacked, query)[rows]
        if len(rows) > limit:
            chosen = found >= np.partition(found, -limit)[-limit]
            rows, found = rows[chosen], found[chosen]
        pairs = zip((keys[row] for row in rows), found.tolist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:limit]
