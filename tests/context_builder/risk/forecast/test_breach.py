"""The probability of a breach is one: it is calibrated, and it ranks."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from context_builder.risk.forecast.breach import WIDTH, BreachModel, Calibration, expit
from context_builder.risk.forecast.panel import Panel
from context_builder.risk.measures.series_table import Floats

HORIZON = 5
SETTLED = 1_000
"""Steps that only teach."""
LIMITS = (104.0, 112.0, 115.0, 125.0, 1_000.0)


WALKS = 8
"""Independent series under each limit: one wanders too slowly for its ranges of probability to be filled."""


def wandering(steps: int = 2_600) -> Floats:
    """Return values, shape (steps, WALKS)."""
    rng = np.random.default_rng(1)
    values = np.zeros((steps, WALKS))
    for n in range(1, steps):
        values[n] = 0.97 * values[n - 1] + rng.normal(size=WALKS)
    return 100 + 5 * values


@functools.cache
def judged() -> tuple[Floats, Floats, Floats]:
    """Values, probabilities, and 1 where a limit was crossed within the horizon; the last two by limit."""
    values = wandering()
    panel = Panel(HORIZON, 0)
    panel.grow(WALKS * len(LIMITS))
    limits = np.array(LIMITS)
    found = [
        panel.step(np.repeat(v, len(LIMITS)), np.tile(limits, WALKS), n).probability
        for n, v in enumerate(values)
    ]
    rows = range(SETTLED, len(values) - HORIZON)
    came = [values[n + 1 : n + 1 + HORIZON].max(axis=0)[:, None] > limits for n in rows]
    shape = (-1, len(LIMITS))
    return (
        values[rows].reshape(-1),
        np.array(found)[rows].reshape(shape),
        np.array(came, dtype=np.float64).reshape(shape),
    )


def test_probabilities_are_calibrated() -> None:
    """Of what is given p, about p comes: in each range of the probabilities within a tenth."""
    values, found, came = judged()
    healthy = values[:, None] <= np.array(LIMITS)
    probability, breached = found[healthy], came[healthy]
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 1.0)):
        inside = (probability >= low) & (probability < high)
        assert inside.sum() > 100
        assert abs(breached[inside].mean() - probability[inside].mean()) < 0.1


@pytest.mark.parametrize("limit", LIMITS[:4])
def test_a_probability_beats_the_base_rate(limit: float) -> None:
    """Its Brier score is better than that of always giving how often a breach comes."""
    _, found, came = judged()
    probability, breached = found[:, LIMITS.index(limit)], came[:, LIMITS.index(limit)]
    base = breached.mean()
    assert ((probability - breached) ** 2).mean() < 0.7 * base * (1 - base)


def test_a_limit_that_was_never_crossed_is_known_to_be_far() -> None:
    """Limits that nobody set teach what one without a breach in the past needs."""
    _, found, came = judged()
    assert not came[:, -1].any()
    assert found[:, -1].max() < 0.02
    assert found[:, 0].mean() > 0.2


def test_a_higher_limit_is_not_likelier() -> None:
    """On average and nearly always the probability falls with the limit."""
    values, found, _ = judged()
    below = found[values <= LIMITS[0]]
    assert (np.diff(below.mean(axis=0)) < 0).all()
    assert (np.diff(below, axis=1) < 0.05).mean() > 0.98


def test_models_stay_finite_whatever_they_are_fed() -> None:
    """Thousands of pairs without a breach, and of breaches only, leave usable probabilities."""
    for outcome in (0.0, 1.0):
        model, calibration = BreachModel(), Calibration()
        calibration.table.grow(1)
        features = np.ones((1, WIDTH)) * 5
        for _ in range(2_000):
            model.learn(features, np.array([outcome]))
            calibration.learn(model.logit(features), np.array([outcome]), np.array([True]))
        probability = calibration.probability(model.logit(features))
        assert np.isfinite(probability).all()
        assert abs(probability[0] - outcome) < 0.05


def test_each_series_has_its_own_correction() -> None:
    """Where one series breaches twice as often as the shared model says, its own probability follows."""
    calibration = Calibration()
    calibration.table.grow(2)
    rng = np.random.default_rng(7)
    logit = np.full(2, -1.0)
    for _ in range(3_000):
        breached = (rng.random(2) < np.array([0.6, expit(np.array(-1.0))])).astype(float)
        calibration.learn(logit, breached, np.array([True, True]))
    often, seldom = calibration.probability(logit)
    assert abs(often - 0.6) < 0.1
    assert abs(seldom - 0.27) < 0.1
