"""The contract of an embedding model: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""n x dimension: one row per text, of unit length, so that a dot product is a cosine."""


class Embedder(Protocol):
    """Turns texts into vectors; similar texts get close vectors."""

    @property
    def model_id(self) -> str:
        """Name of the model, at most 200 characters."""
        ...

    @property
    def weights_hash(self) -> str:
        """SHA-256 (hex) of what determines the vectors besides the name; known once loaded."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector; known once loaded."""
        ...

    @property
    def background(self) -> float:
        """Cosine that unrelated texts reach: no sign of similarity up to here."""
        ...

    async def load(self) -> None:
        """Load the model unless it is loaded. Raises MemoryUnavailable."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of the texts, `len(texts)` x `dimension`. Raises MemoryUnavailable."""
        ...

    async def close(self) -> None:
        """Release the model. Idempotent."""
        ...
