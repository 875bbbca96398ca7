"""The incremental model learns what is linear, and nothing of a series reaches another."""

from __future__ import annotations

import numpy as np
import pytest

from context_builder.risk.forecast.linear import LinearModel


def test_it_finds_the_weights_of_a_linear_series() -> None:
    """After some hundred pairs it predicts a noisy linear outcome nearly as well as its weights."""
    rng = np.random.default_rng(0)
    model = LinearModel(3)
    model.table.grow(2)
    weights = np.array([[0.5, -0.3, 0.1], [-0.2, 0.0, 0.4]])
    for _ in range(600):
        features = rng.normal(0, 1, (2, 3))
        outcome = (features * weights).sum(axis=1) + 0.2 + rng.normal(0, 0.05, 2)
        model.learn(features, outcome, np.array([True, True]))
    assert model.table["weights"][:, :3] == pytest.approx(weights, abs=0.03)
    assert model.table["weights"][:, 3] == pytest.approx(0.2, abs=0.03)


def test_only_what_learns_is_changed() -> None:
    """A series without an outcome keeps its weights, also beside NaN."""
    model = LinearModel(2)
    model.table.grow(2)
    features = np.array([[1.0, 2.0], [np.nan, np.nan]])
    model.learn(features, np.array([1.0, np.nan]), np.array([True, False]))
    assert model.table["weights"][0].any()
    assert not model.table["weights"][1].any()


@pytest.mark.parametrize("value", [0.0, 10.0])
def test_a_series_that_does_not_move_leaves_it_finite(value: float) -> None:
    """Six thousand equal pairs do not let its uncertainty grow without bound."""
    model = LinearModel(2)
    model.table.grow(1)
    for _ in range(6_000):
        model.learn(np.full((1, 2), value), np.zeros(1), np.array([True]))
    assert np.isfinite(model.table["inverse"]).all()
    model.learn(np.array([[10.0, -10.0]]), np.array([3.0]), np.array([True]))
    assert abs(model.predict(np.array([[1.0, 1.0]]))[0]) < 10
