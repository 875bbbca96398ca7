"""Signals drawn by chance around levels that a test chooses, of every law."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from context_builder.exploration.series.signal import Distribution, Noise, Signal

USUAL = {Distribution.BINOMIAL: 0.05, Distribution.GAUSSIAN: 7.0, Distribution.POISSON: 1.0}
AWAY = {Distribution.BINOMIAL: 0.35, Distribution.GAUSSIAN: 7.8, Distribution.POISSON: 3.0}
EVIDENCE = 30.0
"""About five and a half standard deviations: in a few hundred signals chance has not so much."""
DEVIATION = 0.6
"""Of one unit of weight of a Gaussian signal."""


def drawn(
    law: Distribution, weight: Sequence[float] | npt.NDArray[np.float64], level: npt.ArrayLike, seed: int
) -> Signal:
    """A signal of these weights whose masses vary around the levels as the law says."""
    chance, weights = np.random.default_rng(seed), np.asarray(weight, dtype=float)
    levels = np.broadcast_to(np.asarray(level, dtype=float), weights.shape)
    if law is Distribution.BINOMIAL:
        mass = chance.binomial(weights.astype(int), levels).astype(float)
    elif law is Distribution.POISSON:
        mass = chance.poisson(weights * levels).astype(float)
    else:
        mass = weights * levels + np.sqrt(weights) * DEVIATION * chance.standard_normal(len(weights))
    return signal(law, weights, mass)


def signal(law: Distribution, weight: npt.ArrayLike, mass: npt.ArrayLike) -> Signal:
    """A signal with one bucket per slot."""
    noise = Noise(law, DEVIATION)
    return Signal.by_slot(noise, np.asarray(weight, dtype=float), np.asarray(mass, dtype=float))


def busy(law: Distribution, slots: int, seed: int) -> npt.NDArray[np.float64]:
    """Unequal weights with empty slots among them; for totals, what is expected of each."""
    chance = np.random.default_rng(seed)
    weights = np.round(40 * (1 + 0.8 * np.sin(np.arange(slots) / 20)) * chance.uniform(0.5, 1.5, slots))
    weights[chance.random(slots) < 0.1] = 0.0
    return np.asarray(weights + (1.0 if law is Distribution.POISSON else 0.0), dtype=float)
