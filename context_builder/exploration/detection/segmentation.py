"""Segments a series of numbers at its changes of the mean. Pure.

Kernel change point detection with a linear kernel (Arlot, Celisse and Harchaoui, JMLR 2019), pruned (PELT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from context_builder.submodule import load_submodule

_MIN_BUCKETS = 1
"""Of a segment."""

_Pelt = Callable[[npt.NDArray[np.float64], float, int], Sequence[int]]
"""From values (n x 1), penalty and minimum length to the start of the last segment of each prefix, 0 to n."""

# The packages of ruptures would import all of scipy, which takes 3 s.
_pelt: _Pelt = load_submodule("ruptures.detection._detection.ekcpd").ekcpd_pelt_L2


def segment_bounds(values: npt.NDArray[np.float64], penalty: float) -> list[int]:
    """Return the bounds of the segments with the least squared error plus `penalty` for each of them.

    Includes 0 and `len(values)`, which is at least 2.
    """
    starts = _pelt(values.reshape(-1, 1), penalty, _MIN_BUCKETS)
    bounds = [len(values)]
    while bounds[-1] > 0:
        bounds.append(int(starts[bounds[-1]]))
    return bounds[::-1]
