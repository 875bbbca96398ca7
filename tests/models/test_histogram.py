"""Quantiles of overlapping windows are those of the merged histograms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.histogram import Histogram, window_quantiles

LATENCIES = st.lists(st.integers(0, 10**7), max_size=6)


@settings(max_examples=60)
@given(st.lists(LATENCIES, min_size=1, max_size=12), st.data())
def test_windows_have_the_quantiles_of_what_they_hold(parts: list[list[int]], data: st.DataObject) -> None:
    """Windows in any order, overlapping, empty or whole, each give what merging their parts gives."""
    ends = st.integers(0, len(parts))
    windows = data.draw(st.lists(st.tuples(ends, ends).map(sorted), min_size=1, max_size=8))
    stored = [Histogram.of(part).to_bytes() for part in parts]
    first, last = (np.array(column) for column in zip(*windows, strict=True))
    found = window_quantiles(stored, first, last, (0.5, 0.95))
    for row, (begin, end) in zip(found, windows, strict=True):
        merged = Histogram.merged(stored[begin:end])
        for value, fraction in zip(row, (0.5, 0.95), strict=True):
            expected = merged.quantile(fraction)
            assert np.isnan(value) if expected is None else value == pytest.approx(expected)
