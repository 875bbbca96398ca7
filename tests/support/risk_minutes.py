"""Minutes of deployments as a forecaster takes them in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from context_builder.risk.forecast.forecaster import Forecaster
from context_builder.risk.measures.history import MEASURES, Minute
from context_builder.risk.measures.series_table import Floats

START = 29_500_000
"""The first minute."""


def minute(number: int, p95: Sequence[float], load: float = 5.0, first: int = 1, **others: float) -> Minute:
    """Deployments numbered from `first`, each with a p95 in ms."""
    measures = np.zeros((len(p95), len(MEASURES)))
    measures[:, MEASURES.index("p95_ms")] = p95
    measures[:, MEASURES.index("load_rps")] = load
    for name, value in others.items():
        measures[:, MEASURES.index(name)] = value
    return Minute(START + number, np.arange(first, first + len(p95)), measures)


def noisy(steps: int, deployments: int = 1, seed: int = 0, level: float = 1_000.0) -> Floats:
    """Levels that vary by chance around one that stays: what a moving average forecasts best."""
    rng = np.random.default_rng(seed)
    return level * np.exp(rng.normal(0, 0.1, (steps, deployments)))


def fed(values: Iterable[Sequence[float]], forecaster: Forecaster | None = None) -> Forecaster:
    """A forecaster that has seen one p95 a minute of each deployment."""
    forecaster = forecaster or Forecaster()
    for number, row in enumerate(values):
        forecaster.observe(minute(number, row))
    return forecaster
