"""Experts are weighed by errors that have matured, and by no others."""

from __future__ import annotations

import numpy as np
import pytest

from context_builder.risk.forecast.experts import EXPERTS
from context_builder.risk.forecast.gate import BLEND, MIN_PAIRS, NOW, Gate
from context_builder.risk.measures.series_table import Floats

HERE = np.array([True])


def gate_after(steps: int, forecasts: Floats, outcome: float = 0.0, horizon: int = 3) -> Gate:
    gate = Gate(horizon)
    gate.table.grow(1)
    for place in range(steps):
        gate.mature(np.array([outcome]), HERE, place)
        gate.blend(forecasts[None, :].copy(), place)
    return gate


def test_nothing_is_judged_before_the_horizon_has_passed() -> None:
    """A forecast matures exactly `horizon` steps after it was made."""
    forecasts = np.ones(len(EXPERTS))
    assert gate_after(3, forecasts).matured[0] == 0
    assert gate_after(4, forecasts).matured[0] == 1
    assert gate_after(9, forecasts).matured[0] == 6


def test_the_best_expert_leads_and_the_blend_is_near_it() -> None:
    """With one expert right and the others wrong, the forecast becomes that of the one."""
    forecasts = np.full(len(EXPERTS), 10.0)
    forecasts[4] = 1.0
    gate = gate_after(200, forecasts)
    blended, leader = gate.blend(forecasts[None, :], 200)
    assert leader[0] == 4
    assert blended[0] == pytest.approx(1.0, abs=0.01)
    assert gate.skill[0] > 0.5


def test_an_expert_without_forecasts_has_no_weight() -> None:
    """NaN of an expert, such as a model that is not trained, never reaches the forecast."""
    forecasts = np.ones(len(EXPERTS))
    forecasts[-1] = np.nan
    blended, leader = gate_after(50, forecasts).blend(forecasts[None, :], 50)
    assert blended[0] == 1.0
    assert leader[0] != len(EXPERTS) - 1


def test_a_late_expert_is_judged_before_it_is_weighed() -> None:
    """A model that comes later has no weight until MIN_PAIRS of its forecasts have matured."""
    without, given = np.full(len(EXPERTS), 5.0), np.full(len(EXPERTS), 5.0)
    without[-1], given[-1] = np.nan, 0.0
    gate = gate_after(100, without, horizon=1)
    shares = []
    for place in range(100, 100 + MIN_PAIRS + 3):
        gate.mature(np.zeros(1), HERE, place)
        shares.append(float(gate.blend(given[None, :].copy(), place)[0][0]))
    assert shares[MIN_PAIRS - 1] == 5.0
    assert shares[-1] < 0.1


def test_a_constant_series_has_no_skill() -> None:
    """Where `now` is always right there is nothing to be better at: skill 0, and no division by zero."""
    gate = gate_after(50, np.zeros(len(EXPERTS)))
    assert gate.skill[0] == 0.0
    assert gate.blend(np.zeros((1, len(EXPERTS))), 50)[0][0] == 0.0


def test_a_missing_outcome_judges_nothing() -> None:
    """Without a value no error is counted, neither of experts nor of the blend."""
    gate = gate_after(10, np.ones(len(EXPERTS)))
    before = gate.table["errors"].copy(), gate.matured.copy()
    gate.mature(np.array([99.0]), np.array([False]), 10)
    assert (gate.table["errors"] == before[0]).all()
    assert gate.matured[0] == before[1][0]


def test_errors_are_forgotten() -> None:
    """An expert that becomes bad loses to one that becomes good."""
    gate = Gate(1)
    gate.table.grow(1)
    for place in range(600):
        forecasts = np.full((1, len(EXPERTS)), 9.0)
        forecasts[0, NOW if place < 300 else 3] = 0.0
        gate.mature(np.zeros(1), HERE, place)
        _, leader = gate.blend(forecasts, place)
    assert leader[0] == 3
    assert gate.table["errors"][0, BLEND] < 1.0
