"""Segments a series of numbers at its changes of the mean: the only importer of ruptures. Pure.

Kernel change point detection with a linear kernel (Arlot, Celisse and Harchaoui, JMLR 2019), pruned (PELT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_MIN_BUCKETS = 1
"""Of a segment."""

_Pelt = Callable[[npt.NDArray[np.float64], float, int], Sequence[int]]
"""From values (n x 1), penalty and minimum length to the start of the last segment of each prefix, 0 to n."""


def _compiled_pelt() -> _Pelt:
    """Return the compiled function of ruptures without its package, whose import loads all of scipy (3 s)."""
    name = "ruptures.detection._detection.ekcpd"
    package = find_spec("ruptures")
    if package is None or package.origin is None:
        raise ImportError("Arcpoint needs ruptures 1.1; reinstall Arcpoint", name="ruptures")
    spec = PathFinder.find_spec(name, [str(Path(package.origin).parent / "detection" / "_detection")])
    if spec is None or spec.loader is None:
        raise ImportError(f"ruptures in {package.origin} has no {name}; install ruptures 1.1", name=name)
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    pelt: _Pelt = module.ekcpd_pelt_L2
    return pelt


_pelt = _compiled_pelt()


def segment_bounds(values: npt.NDArray[np.float64], penalty: float) -> list[int]:
    """Return the bounds of the segments with the least squared error plus `penalty` for each of them.

    Includes 0 and `len(values)`, which is at least 2.
    """
    starts = _pelt(values.reshape(-1, 1), penalty, _MIN_BUCKETS)
    bounds = [len(values)]
    while bounds[-1] > 0:
        bounds.append(int(starts[bounds[-1]]))
    return bounds[::-1]
