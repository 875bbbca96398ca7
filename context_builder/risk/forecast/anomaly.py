"""Notices values far outside what is usual, and says which. Pure.

The score of a value is its distance from a moving average in standard deviations, both of the values so far.
Fed with what was forecast beside what came, it also notices values that are usual but not now.
"""

from __future__ import annotations

import numpy as np

from context_builder.risk.measures.series_table import Field, Floats, Mask, Places, SeriesTable

NOTABLE_SCORE = 6.0
"""Standard deviations from which a value is off."""
REFRACTORY = 60
"""Steps after an alarm in which only a higher score is another one."""
SHOWN = 5
"""Steps for which an alarm is shown."""
MIN_POINTS = 20
"""Values before the first score."""
MAX_SCORE = 50.0
_RATE = 0.02


class Anomalies:
    """Average and variance of each measure of each series, and the last alarm."""

    def __init__(self, measures: int) -> None:
        self.table = SeriesTable(
            {
                "points": Field((measures,), kind="i8"),
                "average": Field((measures,)),
                "variance": Field((measures,)),
                "alarm": Field(fill=-(2**40), kind="i8"),
                "height": Field(),
                "measure": Field(kind="i8"),
            }
        )

    def step(self, values: Floats, place: int) -> Floats:
        """Take in the next values, shape (series, measures), NaN where there is none; return their scores."""
        points, average, variance = (self.table[name] for name in ("points", "average", "variance"))
        present = np.isfinite(values)
        points += present
        # A value that never varies is off with its first change, but not with rounding.
        deviation = np.sqrt(variance) + 1e-9 * np.abs(average) + 1e-9
        distance = np.where(present, values, average) - average
        ready = points > MIN_POINTS
        scores: Floats = np.where(ready, np.minimum(np.abs(distance) / deviation, MAX_SCORE), 0.0)
        most = np.where(ready, NOTABLE_SCORE * deviation, np.inf)
        distance = np.clip(distance, -most, most)
        rate = np.where(present, np.maximum(_RATE, 1 / np.maximum(points, 1)), 0.0)
        average += rate * distance
        variance[:] = (1 - rate) * (variance + rate * distance**2)
        self._raise(scores, place)
        return scores

    def _raise(self, scores: Floats, place: int) -> None:
        alarm, height, measure = (self.table[name] for name in ("alarm", "height", "measure"))
        highest = scores.max(axis=1)
        is_over = place - alarm > REFRACTORY
        raised = (highest >= NOTABLE_SCORE) & (is_over | (highest > height))
        alarm[raised], height[raised] = place, highest[raised]
        measure[raised] = scores.argmax(axis=1)[raised]

    def shown(self, place: int) -> Mask:
        """Return which series have an alarm that is not older than SHOWN."""
        found: Mask = place - self.table["alarm"] < SHOWN
        return found

    def measures(self) -> Places:
        """Return the measure of each series that its last alarm was about."""
        found: Places = self.table["measure"]
        return found
