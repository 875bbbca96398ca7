"""The probability that a limit is crossed within the horizon: a logistic model of all series. Pure.

Learned one step at a time by Newton's method, as in an extended Kalman filter. Breaches are rare, so the
model also learns from limits that nobody set, at several distances above the present value.
"""

from __future__ import annotations

import numpy as np

from context_builder.risk.measures.series_table import Field, Floats, Mask, SeriesTable

VIRTUAL_LIMITS = (1.0, 2.0, 4.0, 8.0)
"""Distances above the present value, in units of the scale."""
WIDTH = 8
_MEMORY = 0.9995
_RIDGE = 1.0
_CALIBRATION_RIDGE = 30.0
_MAX_LOGIT = 12.0
_MIN_WEIGHT = 1e-4
_PRIOR = np.array([1.0, 0.0])
"""Slope and intercept of a series whose probabilities need no correction."""


def expit(logit: Floats) -> Floats:
    """Return the probability of a logit."""
    found: Floats = 1 / (1 + np.exp(-logit))
    return found


def breach_features(limit: Floats, levels: Floats, recent: Floats, scale: Floats) -> Floats:
    """Return what the model reads; the last axis is WIDTH, those before it are those of `limit`.

    `limit`: shape (series, limits); `levels`: now, forecast and upper bound, shape (series, 3); `recent`: the
    newest values first.
    """
    now, expected, upper = levels[:, 0, None], levels[:, 1, None], levels[:, 2, None]
    scale = scale[:, None]
    spread = np.maximum(upper - expected, 0.1 * scale)
    highest = recent[:, :5].max(axis=1)[:, None]
    above = (recent[:, None, :30] > limit[:, :, None]).mean(axis=2)
    distances = np.stack(
        [
            (limit - now) / spread,
            (limit - expected) / spread,
            (limit - np.maximum(now, expected)) / spread,
            (limit - expected) / scale,
            (limit - now) / scale,
            (limit - highest) / spread,
        ],
        axis=-1,
    )
    compressed = np.sign(distances) * np.log1p(np.abs(distances))
    return np.concatenate([compressed, above[..., None], np.ones_like(above)[..., None]], axis=-1)


class BreachModel:
    """Weights shared by all series."""

    def __init__(self) -> None:
        self._weights = np.zeros(WIDTH)
        # Before anything is learned: likely if the forecast is above the limit.
        self._weights[1] = -1.0
        self._information = _RIDGE * np.eye(WIDTH)

    def logit(self, features: Floats) -> Floats:
        """Return the logit of the probability; the last axis of the features is summed up."""
        return np.clip(features @ self._weights, -_MAX_LOGIT, _MAX_LOGIT)

    def learn(self, features: Floats, breached: Floats) -> None:
        """Take in pairs: features, shape (pairs, WIDTH), and 1 where the limit was crossed, else 0."""
        if not len(breached):
            return
        expected = expit(self.logit(features))
        weights = np.maximum(expected * (1 - expected), _MIN_WEIGHT)
        learned = features.T @ (weights[:, None] * features)
        self._information = _MEMORY * self._information + (1 - _MEMORY) * _RIDGE * np.eye(WIDTH) + learned
        self._weights = self._weights + np.linalg.solve(self._information, features.T @ (breached - expected))


class Calibration:
    """Slope and intercept by which each series corrects the logit of the shared model."""

    def __init__(self) -> None:
        self.table = SeriesTable(
            {"slope": Field(fill=1.0), "intercept": Field(), "information": Field((3,), np.nan)}
        )

    def probability(self, logit: Floats) -> Floats:
        """Return the probability of each series."""
        found: Floats = expit(
            np.clip(logit * self.table["slope"] + self.table["intercept"], -_MAX_LOGIT, _MAX_LOGIT)
        )
        return found

    def learn(self, logit: Floats, breached: Floats, learns: Mask) -> None:
        """Take in whether the limit of some series was crossed."""
        slope, intercept, information = (self.table[name] for name in ("slope", "intercept", "information"))
        logit, breached = np.where(learns, logit, 0.0), np.where(learns, breached, 0.0)
        ridge = np.array([_CALIBRATION_RIDGE, 0.0, _CALIBRATION_RIDGE])
        held = np.where(np.isnan(information), ridge, information)
        expected = expit(np.clip(logit * slope + intercept, -_MAX_LOGIT, _MAX_LOGIT))
        weight = np.maximum(expected * (1 - expected), _MIN_WEIGHT)
        seen = np.stack([logit * logit, logit, np.ones_like(logit)], axis=1) * weight[:, None]
        held = np.where(learns[:, None], _MEMORY * held + (1 - _MEMORY) * ridge + seen, held)
        pull = (1 - _MEMORY) * _CALIBRATION_RIDGE
        first = logit * (breached - expected) + pull * (_PRIOR[0] - slope)
        second = breached - expected + pull * (_PRIOR[1] - intercept)
        a, b, c = held.T
        determinant = a * c - b * b
        slope += np.where(learns, (c * first - b * second) / determinant, 0.0)
        intercept += np.where(learns, (a * second - b * first) / determinant, 0.0)
        information[:] = held
