"""Vectors in memory, each compared with a query: exact, whatever their distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memory.embedding.embedder import Vectors

DECIMALS = 4
"""Of a cosine: its last bits depend on where in memory a row lies."""


class VectorTable:
    """Rows of a key, a unit vector and a moment."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._row_of: dict[str, int] = {}
        self._keys: list[str] = []
        self._vectors: Vectors = np.zeros((0, dimension), dtype=np.float32)
        self._moments: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, keys: Sequence[str], vectors: Vectors, moments: Sequence[int]) -> None:
        """Stores rows, replacing those of the same key."""
        self._reserve(len(self) + len(keys))
        for key, vector, moment in zip(keys, vectors, moments, strict=True):
            row = self._row_of.setdefault(key, len(self))
            if row == len(self):
                self._keys.append(key)
            self._vectors[row] = vector
            self._moments[row] = moment

    def remove(self, keys: Sequence[str]) -> None:
        """Removes rows; keys that are not stored are ignored."""
        for key in keys:
            row = self._row_of.pop(key, None)
            if row is None:
                continue
            last = self._keys.pop()
            if last != key:
                self._keys[row], self._row_of[last] = last, row
                self._vectors[row] = self._vectors[len(self)]
                self._moments[row] = self._moments[len(self)]

    def nearest(self, vector: Vectors, *, limit: int, before: int | None) -> list[tuple[str, float]]:
        """Keys and cosines of the rows closest to a unit vector, of an earlier moment, closest first."""
        rows = np.arange(len(self))
        if before is not None:
            rows = rows[self._moments[: len(self)] < before]
        # One vector at a time: in a batch the last bits would depend on its neighbours.
        cosines = np.round(self._vectors[: len(self)] @ vector, DECIMALS).clip(-1, 1)[rows]
        if len(rows) > limit:
            least = np.partition(cosines, -limit)[-limit]
            chosen = cosines >= least
            rows, cosines = rows[chosen], cosines[chosen]
        found = zip((self._keys[row] for row in rows), cosines.tolist(), strict=True)
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:limit]

    def _reserve(self, rows: int) -> None:
        if rows > len(self._vectors):
            more = max(rows, 2 * len(self._vectors)) - len(self._vectors)
            self._vectors = np.pad(self._vectors, ((0, more), (0, 0)))
            self._moments = np.pad(self._moments, (0, more))
