"""Bounds of errors hold on average, whatever the errors are."""

from __future__ import annotations

import numpy as np
import pytest

from context_builder.risk.forecast.conformal import LEVELS, Conformal
from context_builder.risk.measures.series_table import Floats


def coverage(errors: Floats, unjudged: int = 300) -> Floats:
    conformal = Conformal()
    conformal.table.grow(1)
    below = []
    for error in errors:
        below.append(error <= conformal.bounds()[0])
        conformal.learn(np.array([error]), np.array([True]))
    found: Floats = np.array(below)[unjudged:].mean(axis=0)
    return found


def series(kind: str) -> Floats:
    rng = np.random.default_rng(5)
    size = 5_000
    made: dict[str, Floats] = {
        "normal": rng.normal(0, 1, size),
        "heavy": rng.standard_t(2.5, size),
        "skewed": rng.exponential(3, size),
        "growing": rng.normal(0, 1, size) * np.linspace(1, 8, size),
        "jumping": rng.normal(0, 1, size) * np.where(np.arange(size) // 1_000 % 2, 4, 1),
    }
    return made[kind]


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed", "growing", "jumping"])
def test_bounds_cover_what_they_promise(kind: str) -> None:
    """Each bound is above its share of the errors within two and a half points, also when these change."""
    assert coverage(series(kind)) == pytest.approx(np.array(LEVELS), abs=0.025)


def test_bounds_are_ordered() -> None:
    """A lower bound never lies above an upper one."""
    conformal = Conformal()
    conformal.table.grow(1)
    for error in np.random.default_rng(6).standard_t(1.5, 500):
        conformal.learn(np.array([error]), np.array([True]))
        assert (np.diff(conformal.bounds()[0]) >= 0).all()


def test_what_is_not_learned_moves_nothing() -> None:
    """A series without an outcome keeps its bounds, whatever stands in its place."""
    conformal = Conformal()
    conformal.table.grow(2)
    for _ in range(50):
        conformal.learn(np.array([1.0, np.nan]), np.array([True, False]))
    assert (conformal.bounds()[1] == 0).all()
    assert (conformal.bounds()[0] != 0).all()
