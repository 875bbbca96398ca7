"""Whether a difference is more than chance: queries of one group are drawn together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_DRAWS = 10_000
_SEED = 17


def interval(values: Sequence[float], groups: Sequence[str]) -> tuple[float, float]:
    """The middle 95 % of the means of bootstrap samples of whole groups."""
    sums, sizes = _by_group(values, groups)
    drawn = np.random.default_rng(_SEED).integers(len(sums), size=(_DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def paired_p(ours: Sequence[float], theirs: Sequence[float], groups: Sequence[str]) -> float:
    """Two-sided paired randomization test: how often swapping whole groups by chance differs as much."""
    sums, _ = _by_group(np.subtract(ours, theirs), groups)
    signs = np.random.default_rng(_SEED).choice(np.array([-1.0, 1.0]), size=(_DRAWS, len(sums)))
    by_chance = np.abs(signs @ sums)
    return float((1 + np.sum(by_chance >= abs(sums.sum()) - 1e-12)) / (1 + _DRAWS))


def _by_group(
    values: Sequence[float] | NDArray[np.float64], groups: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    number = {name: at for at, name in enumerate(dict.fromkeys(groups))}
    sums, sizes = np.zeros(len(number)), np.zeros(len(number))
    place = [number[group] for group in groups]
    np.add.at(sums, place, np.asarray(values, dtype=np.float64))
    np.add.at(sizes, place, 1.0)
    return sums, sizes
