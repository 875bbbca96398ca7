"""Rows for the tests of vector indexes."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from memory.index.contract import IndexRows
from tests.support.incident_world import EPOCH

DIMENSION = 16


def rows(numbers: range, *, stamp: str = "s", dimension: int = DIMENSION) -> IndexRows:
    """Rows whose vectors are unlike each other; row n is of hour n."""
    vectors = np.random.default_rng(numbers.start).normal(size=(len(numbers), dimension)).astype(np.float32)
    return IndexRows(
        keys=[str(number) for number in numbers],
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        stamps=[f"{stamp}{number}" for number in numbers],
        known_at=[EPOCH + timedelta(hours=number) for number in numbers],
    )
