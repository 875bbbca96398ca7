"""Simple forecasters are what they say; features do not depend on unit or level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.risk.forecast.experts import MAX_DAYS, SIMPLE, Experts, Step
from context_builder.risk.measures.series_table import Floats


def walked(values: Floats, horizon: int = 1, day: int = 0) -> list[Step]:
    experts = Experts(horizon, day)
    experts.table.grow(1)
    return [
        experts.step(np.array([0.0 if np.isnan(value) else value]), np.array([not np.isnan(value)]), place)
        for place, value in enumerate(values)
    ]


def simple(step: Step, name: str) -> float:
    return float(step.simple[0, SIMPLE.index(name)])


def test_means_are_of_the_last_values() -> None:
    """`now`, `mean5` and `mean30` are what numpy says of the same values."""
    values = np.random.default_rng(1).normal(50, 9, 80)
    last = walked(values)[-1]
    assert simple(last, "now") == values[-1]
    assert simple(last, "mean5") == pytest.approx(values[-5:].mean())
    assert simple(last, "mean30") == pytest.approx(values[-30:].mean())


def test_the_moving_average_follows_its_definition() -> None:
    """Each value moves it by three tenths of the distance."""
    values = np.random.default_rng(2).normal(50, 9, 40)
    expected = values[0]
    for value in values:
        expected += 0.3 * (value - expected)
    assert simple(walked(values)[-1], "ewma") == pytest.approx(expected)


def test_a_missing_value_counts_as_the_one_before() -> None:
    """Neither averages nor the scale move while nothing is measured."""
    values = np.array([10.0, 12.0, 9.0, np.nan, np.nan])
    steps = walked(values)
    assert simple(steps[4], "now") == 9.0
    assert steps[4].base == steps[2].base
    assert steps[4].scale == steps[2].scale


def test_a_daily_pattern_is_forecast_after_one_day() -> None:
    """Where every day is the same, the seasonal forecast is near exact, and `now` is not."""
    day, horizon = 96, 5
    values = 100 + 50 * np.sin(2 * np.pi * np.arange(4 * day) / day)
    steps = walked(values, horizon, day)
    made = range(2 * day, 4 * day - horizon)
    seasonal = np.mean([abs(simple(steps[n], "seasonal") - values[n + horizon]) for n in made])
    now = np.mean([abs(values[n] - values[n + horizon]) for n in made])
    assert seasonal < 0.05 * now


def test_the_daily_pattern_forgets() -> None:
    """A pattern that ended MAX_DAYS ago or longer has no more weight than one of MAX_DAYS days."""
    day = 48
    wave = np.sin(2 * np.pi * np.arange(20 * day) / day)
    values = 100 + 10 * np.where(np.arange(20 * day) < 10 * day, wave, 0.0)
    steps = walked(values, 2, day)
    early, late = ((steps[9 * day + 3].simple - steps[9 * day + 3].now[:, None])[0, -1], None)
    late = (steps[-day + 2].simple - steps[-day + 2].now[:, None])[0, -1]
    assert abs(late) < abs(early) * (1 - 1 / MAX_DAYS) ** 7


@settings(max_examples=30)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=60),
    st.floats(0.01, 1000),
    st.floats(-1e5, 1e5),
)
def test_features_do_not_depend_on_the_unit(values: list[float], unit: float, level: float) -> None:
    """The same series in another unit and at another level has the same features."""
    series = np.array(values) + np.arange(len(values)) * 1e4
    one, other = walked(series)[-1], walked(series * unit + level)[-1]
    assert np.allclose(one.features, other.features, atol=1e-4)


@pytest.mark.parametrize("values", [[0.0] * 50, [7.5] * 50, [1e12] * 50, [0.0, 1e15] * 25])
def test_every_feature_is_finite(values: list[float]) -> None:
    """Constant, huge and jumping series have finite features within their bound."""
    for step in walked(np.array(values), 5, 20):
        assert np.isfinite(step.features).all()
        assert np.abs(step.features).max() <= 10.0
        assert (step.scale > 0).all()
