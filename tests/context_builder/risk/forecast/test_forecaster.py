"""Outlooks are honest: silent with a reason when nothing can be said, and never of another's past."""

from __future__ import annotations

import functools
from dataclasses import fields, replace

import numpy as np
import pytest

from context_builder.risk.forecast.forecaster import (
    COLD_POINTS,
    MATURED_PAIRS,
    STALE_MINUTES,
    Forecaster,
)
from context_builder.risk.measures.history import MAX_GAP, MAX_LATE
from context_builder.risk.measures.series_table import Floats
from context_builder.risk.outlook import NO_EXPERT, Outlook
from context_builder.rollups.span import MINUTE, moment_of
from tests.support.risk_minutes import START, fed, minute, noisy

STEPS = 160


@functools.cache
def settled() -> dict[int, Outlook]:
    """One deployment that varies around its level, one that never moves, one that wanders."""
    return outlooks(fed(three()))


def three() -> Floats:
    rng = np.random.default_rng(3)
    wandering = 1_000 * np.exp(np.cumsum(rng.normal(0, 0.1, STEPS)))
    return np.column_stack([noisy(STEPS), np.full(STEPS, 800.0), wandering])


def outlooks(forecaster: Forecaster) -> dict[int, Outlook]:
    last = forecaster.history.last
    assert last is not None
    return forecaster.tick(moment_of(last + 1))


def is_silent(one: Outlook) -> bool:
    return one.expert == NO_EXPERT and one.latency_ms is None and one.breach_probability is None


def test_an_empty_history_has_no_outlooks() -> None:
    """Before anything is observed there is nothing to say, and nothing fails."""
    assert Forecaster().tick(moment_of(START)) == {}


@pytest.mark.parametrize("points", range(1, COLD_POINTS + 1))
def test_few_points_are_no_forecast(points: int) -> None:
    """Below COLD_POINTS minutes the reason has the number; from there the moving average speaks."""
    one = outlooks(fed(noisy(points)))[1]
    assert one.breach_probability is None
    if points < COLD_POINTS:
        assert is_silent(one)
        assert f"only {points} of the {COLD_POINTS} minutes" in one.silence
    else:
        assert one.expert == "ewma"
        assert one.latency_ms is not None
        assert "forecasts that a probability needs have matured" in one.silence


def test_the_moving_average_speaks_until_enough_has_matured() -> None:
    """One forecast fewer than MATURED_PAIRS is no skill and no probability; with it there are both."""
    before = outlooks(fed(noisy(MATURED_PAIRS + 4)))[1]
    after = outlooks(fed(noisy(MATURED_PAIRS + 5)))[1]
    assert (before.matured, after.matured) == (MATURED_PAIRS - 1, MATURED_PAIRS)
    assert (before.expert, before.skill, before.breach_probability) == ("ewma", None, None)
    assert after.skill is not None
    assert after.skill > 0
    assert after.breach_probability is not None
    assert after.silence == ""


def test_no_skill_is_no_forecast() -> None:
    """A series that never moves cannot be forecast better than as now; what was measured is still told."""
    one = settled()[2]
    assert is_silent(one)
    assert one.skill == 0.0
    assert one.silence.startswith("no skill, no forecast")
    assert one.baseline_ms == pytest.approx(800)
    assert one.headroom is not None


def test_a_forecast_is_whole() -> None:
    """With skill every figure is there, and the interval holds the forecast."""
    one = settled()[1]
    assert one.silence == ""
    assert [field.name for field in fields(one) if getattr(one, field.name) is None] == ["last_false_alarm"]
    assert one.low_ms is not None
    assert one.latency_ms is not None
    assert one.high_ms is not None
    assert 0 <= one.low_ms <= one.latency_ms <= one.high_ms
    assert one.breach_probability is not None
    assert 0 <= one.breach_probability <= 1


def test_deployments_do_not_share_their_past() -> None:
    """Levels, limits, skill and forecast of one are the same whichever others are there."""
    alone = outlooks(fed(three()[:, :1]))[1]
    together = settled()[1]
    # What is shared is only the model of breaches.
    assert replace(together, breach_probability=None, last_false_alarm=None) == replace(
        alone, breach_probability=None, last_false_alarm=None
    )


def test_an_objective_replaces_the_own_limit() -> None:
    """Where an SLO is set it is the limit, also before there is a baseline."""
    forecaster = fed(noisy(10), Forecaster(objectives={1: 1_234.0}))
    one = outlooks(forecaster)[1]
    assert one.limit_ms == 1_234.0
    assert one.baseline_ms is None


def test_silence_follows_when_requests_stop() -> None:
    """A deployment without a p95 for STALE_MINUTES has no forecast, others still do."""
    forecaster = fed(noisy(130, 2))
    for number in range(130, 130 + STALE_MINUTES):
        forecaster.observe(minute(number, [np.nan, 1_000.0]))
    found = outlooks(forecaster)
    assert is_silent(found[1])
    assert "too few requests" in found[1].silence
    assert found[2].latency_ms is not None


def test_all_are_silent_when_telemetry_is_lost() -> None:
    """If nothing at all is observed for longer, the outlooks of before are not repeated."""
    forecaster = fed(noisy(130))
    last = moment_of(START + 130)
    assert not is_silent(forecaster.tick(last + STALE_MINUTES * MINUTE)[1])
    assert is_silent(forecaster.tick(last + (STALE_MINUTES + 1) * MINUTE)[1])


def test_a_deployment_appears_and_vanishes() -> None:
    """A newcomer starts cold beside others, whose forecasts go on."""
    forecaster = fed(noisy(130))
    forecaster.observe(minute(130, [1_000.0, 900.0]))
    found = outlooks(forecaster)
    assert found[1].matured == 126
    assert found[2].matured == 0
    assert is_silent(found[2])


@pytest.mark.parametrize("jump", [MAX_GAP + 2, 10**6, -MAX_LATE - 200, -(10**6)])
def test_what_was_learned_outlives_a_jump_of_the_clock(jump: int) -> None:
    """After a break nothing is forecast from the minutes before it, and no forecast matures across it."""
    forecaster = fed(noisy(130))
    matured = outlooks(forecaster)[1].matured
    forecaster.observe(minute(129 + jump, [5_000.0]))
    one = outlooks(forecaster)[1]
    assert is_silent(one)
    assert one.matured == matured
    for number in range(130 + jump, 138 + jump):
        forecaster.observe(minute(number, [5_000.0]))
    one = outlooks(forecaster)[1]
    assert one.matured > matured


def test_a_late_minute_changes_nothing() -> None:
    """What comes late is left out and said so."""
    forecaster = fed(noisy(130))
    before = outlooks(forecaster)
    assert not forecaster.observe(minute(100, [99_999.0]))
    assert outlooks(forecaster) == before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -5.0, 0.0, 1e15])
def test_no_value_breaks_a_forecast(value: float) -> None:
    """After any number in any measure, outlooks are finite."""
    forecaster = fed(noisy(120))
    for number in range(120, 130):
        forecaster.observe(minute(number, [value if number % 2 else 1_000.0], load=value, concurrency=value))
    one = outlooks(forecaster)[1]
    for name in (field.name for field in fields(one)):
        found = getattr(one, name)
        assert not isinstance(found, float) or np.isfinite(found), name


def test_false_alarms_are_kept() -> None:
    """A breach that was likely and did not come is remembered with its moment; none that came is."""
    values = np.concatenate([noisy(150)[:, 0], 1_000 * 1.12 ** np.arange(8), noisy(30, seed=9)[:, 0]])
    forecaster = Forecaster(objectives={1: 1_300.0})
    alarmed: list[int] = []
    for number, value in enumerate(values):
        forecaster.observe(minute(number, [value]))
        one = outlooks(forecaster)[1]
        if one.breach_probability is not None and one.breach_probability >= 0.5:
            alarmed.append(number)
    wrong = [n for n in alarmed if n + 5 < len(values) and values[n + 1 : n + 6].max() <= 1_300.0]
    last = moment_of(START + wrong[-1] + 1) if wrong else None
    assert alarmed
    assert one.last_false_alarm == last


def test_an_anomaly_is_named() -> None:
    """A sudden share of errors is in the outlook, in words."""
    forecaster = fed(noisy(120))
    forecaster.observe(minute(120, [1_000.0], error_share=0.4))
    assert outlooks(forecaster)[1].anomaly == "share of errors far from usual"


def test_a_trained_model_takes_part() -> None:
    """A model that knows what comes leads, and one that errs is not listened to."""
    rng = np.random.default_rng(8)
    wave = 1_000 * np.exp(0.4 * np.sin(np.arange(300) / 4) + rng.normal(0, 0.02, 300))
    ahead = iter(range(5, 10**6))

    def prophet(features: Floats) -> Floats:
        step = forecaster.panel.experts.table
        coming = wave[min(next(ahead), 299)]
        scale = np.maximum(step["scale"], 1e-6)
        found: Floats = (coming - step["averages"][:, 0]) / scale
        return found

    forecaster = Forecaster(trained=prophet)
    fed(wave[:, None], forecaster)
    assert outlooks(forecaster)[1].expert == "lightgbm"
    forecaster = Forecaster(trained=lambda features: np.full(len(features), 1e3))
    fed(wave[:, None], forecaster)
    assert outlooks(forecaster)[1].expert != "lightgbm"


@pytest.mark.long
def test_ten_thousand_deployments_fit() -> None:
    """They take less than 32 KB each, and every one has an outlook."""
    forecaster = Forecaster()
    for number in range(3):
        forecaster.observe(minute(number, [1_000.0 + number] * 10_000))
    assert len(outlooks(forecaster)) == 10_000
    assert forecaster.bytes < 32_000 * len(forecaster.history.table["seen"])
