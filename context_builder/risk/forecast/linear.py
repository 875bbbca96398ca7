"""An incremental linear model of each series: recursive least squares on the distance from the base. Pure.

Haykin, Adaptive Filter Theory, chapter 10; errors are cut off, as in Huber's loss.
"""

from __future__ import annotations

import numpy as np

from context_builder.risk.measures.series_table import Field, Floats, Mask, SeriesTable

_MEMORY = 0.999
"""Weight of a pair against the one after it."""
_PRIOR = 10.0
_MAX_ERROR = 3.0
_MAX_TRACE = 1e4
"""Of the inverse covariance: a series that does not move must not make it grow without bound."""


class LinearModel:
    """Weights of each series, moved by every pair of features and outcome."""

    def __init__(self, features: int) -> None:
        self._size = features + 1
        self.table = SeriesTable(
            {"weights": Field((self._size,)), "inverse": Field((self._size, self._size), np.nan)}
        )

    def predict(self, features: Floats) -> Floats:
        """Return the expected outcome of each series, in the unit of the outcomes."""
        weights = self.table["weights"]
        found: Floats = (weights[:, :-1] * features).sum(axis=1) + weights[:, -1]
        return found

    def learn(self, features: Floats, outcomes: Floats, learns: Mask) -> None:
        """Take in the outcome of some series; what the others hold is not looked at."""
        (rows,) = learns.nonzero()
        if not len(rows):
            return
        every = len(rows) == len(learns)
        inverse = self.table["inverse"] if every else self.table["inverse"][rows]
        unused = np.isnan(inverse[:, 0, 0])
        if unused.any():
            inverse[unused] = _PRIOR * np.eye(self._size)
        x = np.concatenate([features[rows], np.ones((len(rows), 1))], axis=1)
        weights = self.table["weights"][rows]
        error = np.clip(outcomes[rows] - (weights * x).sum(axis=1), -_MAX_ERROR, _MAX_ERROR)
        moved = (inverse @ x[:, :, None])[:, :, 0]
        gain = moved / (_MEMORY + (x * moved).sum(axis=1))[:, None]
        self.table["weights"][rows] = weights + gain * error[:, None]
        inverse = (inverse - gain[:, :, None] * moved[:, None, :]) / _MEMORY
        trace = np.trace(inverse, axis1=1, axis2=2)
        inverse *= np.minimum(1.0, _MAX_TRACE / trace)[:, None, None]
        self.table["inverse"][rows] = inverse
