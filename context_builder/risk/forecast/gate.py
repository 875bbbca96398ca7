"""Weighs the forecasters of each series by their trailing errors, once these have matured. Pure."""

from __future__ import annotations

import numpy as np

from context_builder.risk.forecast.experts import EXPERTS
from context_builder.risk.measures.series_table import Field, Floats, Mask, Places, SeriesTable

MEMORY = 75
"""Mean age in steps of the errors that count: as old as those of a window of 150."""
SHARPNESS = 20.0
"""An expert whose error is 5 % above the least has 1 / e of its weight."""
MIN_PAIRS = 30
"""Matured forecasts before an expert that came later is weighed."""
BLEND = len(EXPERTS)
"""Column of the weighted forecast, beside those of the experts."""
NOW = EXPERTS.index("now")


class Gate:
    """Trailing mean absolute error of each expert, and of what was forecast in the end."""

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon
        width = len(EXPERTS) + 1
        self.table = SeriesTable(
            {
                "pending": Field((horizon, width), np.nan),
                "errors": Field((width,)),
                "counts": Field((width,), kind="i4"),
            }
        )

    def mature(self, values: Floats, present: Mask, place: int) -> Floats:
        """Judge the forecasts of this step; return them, shape (series, experts and blend), NaN if none."""
        due: Floats = self.table["pending"][:, place % self._horizon].copy()
        errors, counts = self.table["errors"], self.table["counts"]
        found = np.abs(values[:, None] - due)
        judged = present[:, None] & ~np.isnan(found)
        counts += judged
        rate = np.maximum(1 / np.maximum(counts, 1), 1 / MEMORY)
        errors += np.where(judged, rate * (found - errors), 0.0)
        return due

    def blend(self, forecasts: Floats, place: int) -> tuple[Floats, Places]:
        """Return the weighted forecast of each series and its leading expert.

        Forecasts have the shape (series, experts), NaN where an expert has none. They mature `horizon` steps
        later.
        """
        errors, counts = self.table["errors"][:, :BLEND], self.table["counts"][:, :BLEND]
        longest = counts[:, NOW, None]
        judged = ~np.isnan(forecasts) & (counts >= np.minimum(longest, MIN_PAIRS))
        known = np.where(judged, errors, np.inf)
        least = known.min(axis=1, keepdims=True)
        # 0 / 0: a series that never moves has errors of 0.
        excess = np.where(known == least, 0.0, known / np.maximum(least, 1e-300) - 1)
        weights = np.exp(-SHARPNESS * np.minimum(excess, 100.0)) * judged
        whole = weights.sum(axis=1)
        total = np.where(judged, forecasts * weights, 0.0).sum(axis=1)
        blended = np.where(whole > 0, total / np.where(whole > 0, whole, 1.0), np.nan)
        pending = self.table["pending"][:, place % self._horizon]
        pending[:, :BLEND] = forecasts
        pending[:, BLEND] = blended
        return blended, weights.argmax(axis=1)

    @property
    def matured(self) -> Places:
        """Return how many forecasts of each series have matured."""
        counts: Places = self.table["counts"][:, BLEND]
        return counts

    @property
    def skill(self) -> Floats:
        """Return 1 - error / error of "as now" of each series; 0 if "as now" has always been right."""
        errors = self.table["errors"]
        now = errors[:, NOW]
        return np.where(now > 0, 1 - errors[:, BLEND] / np.where(now > 0, now, 1.0), 0.0)
