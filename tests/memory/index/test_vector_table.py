"""The table of vectors: the same answers as comparing all rows, through any changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memory.index.vector_table import VectorTable

keys = st.lists(st.sampled_from("abcdefghij"), max_size=12)
puts = st.tuples(st.just("put"), keys, st.integers(0, 2**32 - 1))
removals = st.tuples(st.just("remove"), keys, st.just(0))


@given(st.lists(puts | removals, max_size=12), st.integers(1, 12), st.none() | st.integers(0, 5))
def test_nearest_is_what_comparing_every_row_gives(
    changes: list[tuple[str, list[str], int]], limit: int, before: int | None
) -> None:
    """After any puts and removals, the answer is the sorted beginning of all cosines of earlier rows."""
    table = VectorTable()
    expected: dict[str, tuple[np.ndarray, int]] = {}
    for change, names, seed in changes:
        if change == "remove":
            table.remove(names)
            for name in names:
                expected.pop(name, None)
            continue
        # Few different vectors, so that there are ties to order by key.
        vectors = np.eye(3, dtype=np.float32)[[(seed + at) % 3 for at in range(len(names))]]
        moments = [(seed + 3 * at) % 7 for at in range(len(names))]
        table.put(names, vectors, moments)
        expected |= dict(zip(names, zip(vectors, moments, strict=True), strict=True))
    query = np.array([0.8, 0.6, 0.0], dtype=np.float32)
    cosines = [
        (name, round(float(vector @ query), 4))
        for name, (vector, moment) in expected.items()
        if before is None or moment < before
    ]
    found = [(name, round(cosine, 4)) for name, cosine in table.nearest(query, limit=limit, before=before)]
    assert found == sorted(cosines, key=lambda pair: (-pair[1], pair[0]))[:limit]
    assert len(table) == len(expected)
