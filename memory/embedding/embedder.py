"""The contract of an embedding model: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""One row per text, each of unit length, so that a dot product is a cosine."""


class Embedder(Protocol):
    """Turns texts into vectors whose closeness means likeness."""

    @property
    def model_id(self) -> str:
        """Name of the model, at most 200 characters."""
        ...

    @property
    def weights_hash(self) -> str:
        """SHA-256 (hex) of whatever decides the vectors besides the name; known once loaded."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers in one vector; known once loaded."""
        ...

    @property
    def background(self) -> float:
        """Cosine that texts on different subjects still reach: no sign of likeness up to here."""
        ...

    async def load(self) -> None:
        """Makes the model ready; quick when it is already. Raises MemoryUnavailable."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of the texts, `len(texts)` x `dimension`. Raises MemoryUnavailable."""
        ...

    async def close(self) -> None:
        """Frees what the model holds; harmless when nothing was loaded."""
        ...
