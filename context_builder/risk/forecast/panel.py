"""Forecasts many series at once, step by step, and learns from each forecast once it has matured. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from context_builder.risk.forecast.breach import (
    VIRTUAL_LIMITS,
    WIDTH,
    BreachModel,
    Calibration,
    breach_features,
    expit,
)
from context_builder.risk.forecast.conformal import Conformal
from context_builder.risk.forecast.experts import FEATURES, MAX_DISTANCE, Experts, Step
from context_builder.risk.forecast.gate import BLEND, Gate
from context_builder.risk.forecast.linear import LinearModel
from context_builder.risk.measures.series_table import Field, Floats, Mask, Places, SeriesTable

_TO_NOW = 4
"""Place among the features of the distance from the present value to the limit."""

Trained = Callable[[Floats], Floats]
"""The trained model: features, shape (series, FEATURES), to distances from the base in units of the scale."""


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What is forecast of each series; NaN where nothing can be."""

    step: Step
    expected: Floats
    bounds: Floats
    """Quantiles at LEVELS, shape (series, LEVELS)."""
    leader: Places
    """Place in EXPERTS of the expert with the greatest weight."""
    probability: Floats
    """That the limit is crossed within the horizon; NaN without a limit."""
    matured: Floats
    """Forecasts that have matured in this step; NaN where none has."""
    breached: Floats
    """1 or 0 for those whose limit was or was not crossed; NaN where it is not known."""


class Panel:
    """The state of the series: levels, models, trailing errors, and forecasts that have not matured yet."""

    def __init__(self, horizon: int, day: int, trained: Trained | None = None) -> None:
        """Forecast `horizon` steps ahead; `day` is the number of steps of a day, 0 for no daily pattern."""
        self.horizon = horizon
        self.trained = trained
        self._day = day
        self.experts = Experts(horizon, day)
        self.gate = Gate(horizon)
        self._linear = LinearModel(len(FEATURES))
        self.conformal = Conformal()
        self.onset, self.persistence = BreachModel(), BreachModel()
        self.calibration = Calibration()
        limits = 1 + len(VIRTUAL_LIMITS)
        self._pending = SeriesTable(
            {
                name: Field((horizon, *shape), np.nan)
                for name, shape in {
                    "base": (), "scale": (), "features": (len(FEATURES),), "limits": (limits,),
                    "breach": (limits, WIDTH), "logit": (),
                }.items()
            }
        )  # fmt: skip
        self._tables = [
            part.table for part in (self.experts, self.gate, self._linear, self.conformal, self.calibration)
        ] + [self._pending]

    @property
    def bytes(self) -> int:
        """Return the memory that the series take."""
        return sum(table.bytes for table in self._tables)

    def grow(self, size: int) -> None:
        """Add series, up to `size` of them in all."""
        for table in self._tables:
            table.grow(size)

    def clear(self, rows: Places) -> None:
        """Forget some series, so that others may take their rows."""
        for table in self._tables:
            table.clear(rows)

    def interrupt(self) -> None:
        """Start from the next values: what is known of levels is outdated, what was learned is not."""
        rows = np.arange(len(self.experts.table["points"]))
        self.experts.table.clear(rows, "points", "recent", "averages")
        self.gate.table.clear(rows, "pending")
        self._pending.clear(rows)

    def step(self, values: Floats, limit: Floats, place: int) -> Forecasts:
        """Take in the next value of each series, NaN where there is none, and forecast.

        `limit` is NaN where a series has none; `place` is the number of the step.
        """
        present = np.isfinite(values)
        values = np.where(present, values, 0.0)
        due = self.gate.mature(values, present, place)
        self._learn(values, present, due[:, BLEND], place)
        step = self.experts.step(values, present, place)
        breached = self._learn_breach(present, place)
        learned = np.full((len(values), 2), np.nan)
        learned[:, 0] = self._linear.predict(step.features)
        if self.trained is not None:
            learned[:, 1] = self.trained(step.features)
        # A model that errs wildly must not carry the forecast away before its errors are known.
        learned = np.clip(learned, -MAX_DISTANCE, MAX_DISTANCE)
        learned = step.base[:, None] + step.scale[:, None] * learned
        expected, leader = self.gate.blend(np.concatenate([step.simple, learned], axis=1), place)
        bounds = expected[:, None] + step.scale[:, None] * self.conformal.bounds()
        probability = self._breach(step, expected, bounds, limit, place)
        at = place % self.horizon
        for name, array in (("base", step.base), ("scale", step.scale), ("features", step.features)):
            self._pending[name][:, at] = array
        return Forecasts(step, expected, bounds, leader, probability, due[:, BLEND], breached)

    def _learn(self, values: Floats, present: Mask, forecast: Floats, place: int) -> None:
        at = place % self.horizon
        scale = self._pending["scale"][:, at]
        learns = present & ~np.isnan(scale)
        unit = np.where(learns, scale, 1.0)
        self._linear.learn(
            self._pending["features"][:, at], (values - self._pending["base"][:, at]) / unit, learns
        )
        self.conformal.learn((values - forecast) / unit, learns & ~np.isnan(forecast))

    def _learn_breach(self, present: Mask, place: int) -> Floats:
        at = place % self.horizon
        limits, features = self._pending["limits"][:, at], self._pending["breach"][:, at]
        judged = present[:, None] & np.isfinite(limits) & np.isfinite(features[..., 0])
        highest = self.experts.table["recent"][:, : self.horizon].max(axis=1)
        breached = (highest[:, None] > limits).astype(np.float64)
        below = features[..., _TO_NOW] >= 0
        self.onset.learn(features[judged & below], breached[judged & below])
        own = judged[:, 0] & ~below[:, 0]
        self.persistence.learn(features[own, 0], breached[own, 0])
        self.calibration.learn(self._pending["logit"][:, at], breached[:, 0], judged[:, 0] & below[:, 0])
        return np.where(judged[:, 0], breached[:, 0], np.nan)

    def _breach(self, step: Step, expected: Floats, bounds: Floats, limit: Floats, place: int) -> Floats:
        """Return the probability that each series is above its limit within the horizon."""
        levels = np.stack([step.now, expected, bounds[:, -1]], axis=1)
        virtual = step.now[:, None] + step.scale[:, None] * np.array(VIRTUAL_LIMITS)
        limits = np.concatenate([limit[:, None], virtual], axis=1)
        features = breach_features(limits, levels, self.experts.table["recent"], step.scale)
        logit = self.onset.logit(features[:, 0])
        at = place % self.horizon
        for name, array in (("limits", limits), ("breach", features), ("logit", logit)):
            self._pending[name][:, at] = array
        above = expit(self.persistence.logit(features[:, 0]))
        return np.where(step.now > limit, above, self.calibration.probability(logit))
