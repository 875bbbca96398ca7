"""Segmentation: the compiled function gives what the library's documented interface gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ruptures.detection.kernelcpd import KernelCPD  # type: ignore[import-untyped]  # it ships no types

from context_builder.exploration.detection.segmentation import segment_bounds

_LEVELS = st.floats(-1e3, 1e3) | st.integers(-3, 3).map(float)


@given(st.data(), st.integers(2, 60), st.floats(0.1, 50))
def test_the_bounds_are_those_of_the_documented_interface(
    data: st.DataObject, length: int, penalty: float
) -> None:
    """For any values and penalty the bounds are those of KernelCPD, after 0."""
    values = data.draw(arrays(np.float64, length, elements=_LEVELS))
    expected = KernelCPD(kernel="linear", min_size=1).fit(values.reshape(-1, 1)).predict(pen=penalty)
    assert segment_bounds(values, penalty) == [0, *expected]


def test_a_step_is_found_where_it_is() -> None:
    """Values that rise once give two segments, and constant values one."""
    assert segment_bounds(np.array([0.0] * 7 + [9.0] * 5), 5) == [0, 7, 12]
    assert segment_bounds(np.zeros(12), 5) == [0, 12]
