"""Simple forecasters of many series at once, and the features that learned ones read. Pure.

Every series moves in equal steps, such as minutes; a forecast is of the value `horizon` steps ahead. A value
that is missing counts as the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from context_builder.risk.measures.series_table import Field, Floats, Mask, SeriesTable

SIMPLE = ("now", "mean5", "mean30", "ewma", "slow_ewma", "fast_ewma", "seasonal")
"""Forecasters that learn nothing but levels."""
LEARNED = ("linear", "lightgbm")
EXPERTS = SIMPLE + LEARNED
RATES = (0.3, 0.1, 0.5, 0.03)
"""Rates of the moving averages; the first is the base of everything that is learned."""
LAGS = (0, 1, 2, 3, 4, 5, 10, 15, 30)
FEATURES = (
    *(f"lag_{lag}" for lag in LAGS),
    *("slow_ewma", "slowest_ewma", "fast_ewma", "mean5", "mean30", "seasonal"),
)
"""What learned forecasters read, each as distance from the base in units of `scale`."""
MAX_DISTANCE = 10.0
"""Beyond it a feature or an error is cut off, so that one spike does not move a learned forecaster."""
MAX_DAYS = 7
"""Days that the daily pattern averages."""
_SCALE_RATE = 0.02
_SMOOTHED = 5
"""Steps averaged on either end of a change of the daily pattern."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is known of each series after a step."""

    now: Floats
    base: Floats
    """Moving average that the learned forecast the distance from."""
    scale: Floats
    """Mean absolute change a step; above 0."""
    features: Floats
    """Shape (series, FEATURES)."""
    simple: Floats
    """Shape (series, SIMPLE)."""


class Experts:
    """Levels of each series: the last values, moving averages, and the usual change at a time of day."""

    def __init__(self, horizon: int, day: int) -> None:
        """Forecast `horizon` steps ahead, with a daily pattern if a day of `day` steps has at least two."""
        self._horizon = horizon
        self._day = day if day > horizon else 0
        self._length = max(LAGS[-1] + 1, horizon + _SMOOTHED)
        self.table = SeriesTable(
            {
                "points": Field(kind="i8"),
                "recent": Field((self._length,)),
                "averages": Field((len(RATES),)),
                "scale": Field(),
                "pattern": Field((self._day,), kind="f4"),
                "days": Field((self._day,), kind="u1"),
            }
        )

    def step(self, values: Floats, present: Mask, place: int) -> Step:
        """Take in the next value of each series; `place` is the number of the step, also across gaps."""
        points, recent, averages, scale = (
            self.table[name] for name in ("points", "recent", "averages", "scale")
        )
        fresh = present & (points == 0)
        if fresh.any():
            recent[fresh] = values[fresh, None]
            averages[fresh] = values[fresh, None]
        now = np.where(present, values, recent[:, 0])
        rate = np.where(present, _SCALE_RATE, 0.0)
        # The first changes count in full, so that the scale does not start near 0.
        rate = np.where(present & (points < 1 / _SCALE_RATE), 1 / np.maximum(points, 1), rate)
        scale += rate * (np.abs(now - recent[:, 0]) - scale)
        averages += np.where(present, 1.0, 0.0)[:, None] * np.array(RATES) * (now[:, None] - averages)
        recent[:, 1:] = recent[:, :-1].copy()
        recent[:, 0] = now
        points += present
        change = self._daily_change(present, place)
        return self._known(now, change)

    def _daily_change(self, present: Mask, place: int) -> Floats:
        """Learn the change that has just ended, and return the usual one from here on."""
        if not self._day:
            return np.zeros(len(present))
        recent, pattern, days = (self.table[name] for name in ("recent", "pattern", "days"))
        horizon = self._horizon
        ended = (place - horizon - _SMOOTHED // 2) % self._day
        change = recent[:, :_SMOOTHED].mean(axis=1) - recent[:, horizon : horizon + _SMOOTHED].mean(axis=1)
        learns = present & (self.table["points"] >= horizon + _SMOOTHED)
        days[:, ended] = np.where(learns, np.minimum(days[:, ended] + 1, MAX_DAYS), days[:, ended])
        moved = (change - pattern[:, ended]) / np.maximum(days[:, ended], 1)
        pattern[:, ended] += np.where(learns, moved, 0.0)
        usual: Floats = pattern[:, place % self._day].astype(np.float64)
        return usual

    def _known(self, now: Floats, change: Floats) -> Step:
        recent, averages = self.table["recent"], self.table["averages"]
        base = averages[:, 0].copy()
        # A constant series has a scale too: a billionth of its level.
        scale = np.maximum(self.table["scale"], 1e-9 * np.abs(now) + 1e-12)
        mean5, mean30 = recent[:, :5].mean(axis=1), recent[:, :30].mean(axis=1)
        levels = np.stack([mean5, mean30, base + change], axis=1)
        distances = np.concatenate([recent[:, LAGS], averages[:, [1, 3, 2]], levels], axis=1)
        features = np.clip((distances - base[:, None]) / scale[:, None], -MAX_DISTANCE, MAX_DISTANCE)
        simple = np.stack([now, mean5, mean30, base, averages[:, 1], averages[:, 2], now + change], axis=1)
        return Step(now, base, scale, features, simple)
