"""A deployment's own limit lies above what is usual for it, and follows it slowly."""

from __future__ import annotations

import numpy as np
import pytest

from context_builder.risk.forecast.limits import LIMIT_FACTOR, MIN_POINTS, Limits
from context_builder.risk.measures.series_table import Floats


def limits_after(values: Floats) -> Limits:
    limits = Limits()
    limits.table.grow(1)
    for value in values:
        limits.step(np.array([value]), np.array([not np.isnan(value)]))
    return limits


def test_there_is_no_limit_before_there_is_a_baseline() -> None:
    """One minute fewer than MIN_POINTS is too little."""
    assert np.isnan(limits_after(np.full(MIN_POINTS - 1, 100.0)).limit()[0])
    limits = limits_after(np.full(MIN_POINTS, 100.0))
    assert limits.baseline()[0] == pytest.approx(100.0)
    assert limits.limit()[0] == pytest.approx(100.0 * LIMIT_FACTOR)


def test_the_baseline_is_the_median() -> None:
    """Rare peaks do not move it."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random(3_000) < 0.05, 5_000.0, 100 * np.exp(rng.normal(0, 0.05, 3_000)))
    assert limits_after(values).baseline()[0] == pytest.approx(100, rel=0.06)


def test_a_restless_deployment_has_a_higher_limit() -> None:
    """Where the p95 doubles often, doubling is no breach: about two minutes in a hundred are above."""
    rng = np.random.default_rng(1)
    values = 100 * np.exp(rng.normal(0, 0.5, 8_000))
    limits, above = Limits(), []
    limits.table.grow(1)
    for value in values:
        above.append(value > limits.limit()[0])
        limits.step(np.array([value]), np.array([True]))
    assert np.mean(above[4_000:]) < 0.05


def test_an_outage_of_an_hour_does_not_become_usual() -> None:
    """After 60 minutes at three times the level, that level is still above the limit."""
    values = np.concatenate([np.full(500, 100.0), np.full(60, 300.0)])
    assert limits_after(values).limit()[0] < 300


def test_a_level_that_stays_becomes_usual() -> None:
    """After a day at twice the level, the baseline is there."""
    values = np.concatenate([np.full(500, 100.0), np.full(1_440, 200.0)])
    assert limits_after(values).baseline()[0] == pytest.approx(200, rel=0.02)
