"""Quantiles of the forecast's error that hold on average, whatever the errors are. Pure.

Quantile tracking: Angelopoulos, Candes and Tibshirani, Conformal PID Control for Time Series, 2023.
"""

from __future__ import annotations

import numpy as np

from context_builder.risk.measures.series_table import Field, Floats, Mask, SeriesTable

LEVELS = (0.05, 0.9, 0.95)
"""Shares of outcomes that shall lie below each bound; the first and the last bound the 90 % interval."""
MIN_PAIRS = 20
"""Matured forecasts before an interval is told."""
_RATE = 0.03
_SPREAD_RATE = 0.02


class Conformal:
    """Bounds of the error of each series, in units of its scale, moved by each outcome."""

    def __init__(self) -> None:
        self.table = SeriesTable(
            {"bounds": Field((len(LEVELS),)), "spread": Field(), "pairs": Field(kind="i8")}
        )

    def learn(self, errors: Floats, learns: Mask) -> None:
        """Take in outcome - forecast of some series, in units of the scale when it was made."""
        bounds, spread, pairs = (self.table[name] for name in ("bounds", "spread", "pairs"))
        pairs += learns
        errors = np.where(learns, errors, 0.0)
        rate = np.maximum(1 / np.maximum(pairs, 1), _SPREAD_RATE)
        spread += np.where(learns, rate * (np.minimum(np.abs(errors), 10 * spread + 1) - spread), 0.0)
        # Long steps find the place, short ones keep it.
        step = spread * np.maximum(_RATE, 2 / np.sqrt(np.maximum(pairs, 1)) * _RATE * 5)
        levels = np.array(LEVELS)
        moved = step[:, None] * ((errors[:, None] > bounds) - (1 - levels))
        bounds += np.where(learns[:, None], moved, 0.0)

    def bounds(self) -> Floats:
        """Return the bounds in units of the scale, shape (series, LEVELS), in the order of the levels."""
        return np.sort(self.table["bounds"], axis=1)
