"""The usual p95 of each deployment, and its own limit where no objective is set. Pure."""

from __future__ import annotations

import numpy as np

from context_builder.risk.measures.series_table import Field, Floats, Mask, SeriesTable

LIMIT_FACTOR = 1.5
"""Above the baseline by this factor a deployment is over its own limit, ..."""
USUAL_SHARE = 0.98
"""... unless its p95 has been above that more often than in the other 2 % of the minutes."""
MIN_POINTS = 30
"""Minutes before there is a baseline."""
_BASELINE_STEP = 0.002
"""Of a logarithm a minute: a level that has doubled is the usual one after six hours."""
_HIGH_STEP = 0.005


class Limits:
    """A median and a high quantile of each series, each moved by small steps of its logarithm."""

    def __init__(self) -> None:
        self.table = SeriesTable({"points": Field(kind="i8"), "usual": Field(), "high": Field()})

    def step(self, values: Floats, present: Mask) -> None:
        """Take in the next value of each series."""
        points, usual, high = (self.table[name] for name in ("points", "usual", "high"))
        level = np.log(np.maximum(np.where(present, values, 1.0), 1e-9))
        points += present
        warm = present & (points <= MIN_POINTS)
        usual += np.where(warm, (level - usual) / np.maximum(points, 1), 0.0)
        usual += np.where(present & ~warm, _BASELINE_STEP * np.sign(level - usual), 0.0)
        high[:] = np.where(warm, usual + np.log(LIMIT_FACTOR), high)
        high += np.where(present & ~warm, _HIGH_STEP * ((level > high) - (1 - USUAL_SHARE)), 0.0)

    def baseline(self) -> Floats:
        """Return the usual value of each series; NaN before MIN_POINTS."""
        return np.where(self.table["points"] >= MIN_POINTS, np.exp(self.table["usual"]), np.nan)

    def limit(self) -> Floats:
        """Return the own limit of each series; NaN before MIN_POINTS."""
        own = np.exp(np.maximum(self.table["high"], self.table["usual"] + np.log(LIMIT_FACTOR)))
        return np.where(self.table["points"] >= MIN_POINTS, own, np.nan)
