"""Backtests judge only what was forecast before it came, and refuse bad files in one line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from context_builder.risk.forecast.backtest import (
    MIN_POINTS,
    BacktestError,
    average_precision,
    backtest,
    read_series,
    series_of,
    walk,
)
from context_builder.risk.measures.series_table import Floats
from tests.support.risk_minutes import noisy

BEGUN = datetime(2026, 3, 1, tzinfo=UTC)


def clock(size: int, step_s: float = 60.0) -> Floats:
    return np.arange(size, dtype=np.float64) * step_s + BEGUN.timestamp()


def test_no_forecast_knows_what_comes() -> None:
    """Changing the future changes no forecast made before it."""
    values = noisy(300)[:, 0]
    series = series_of(clock(300), values)
    other = series_of(clock(300), np.concatenate([values[:250], values[250:] * 7]))
    one, two = walk(series, 1_100.0), walk(other, 1_100.0)
    for name in ("expected", "bounds", "probability"):
        assert np.array_equal(getattr(one, name)[:250], getattr(two, name)[:250], equal_nan=True)


def test_noise_around_a_level_is_forecast_better_than_as_now() -> None:
    """Skill is that of averaging, near the best simple forecaster, and bounds cover."""
    report = backtest(series_of(clock(900), noisy(900)[:, 0]))
    assert report.horizon == 5
    assert report.skill > 0.2
    assert report.skill > max(report.naive.values()) - 0.05
    assert report.naive["now"] == 0.0
    assert report.coverage[0.95] - report.coverage[0.05] == pytest.approx(0.9, abs=0.05)


def test_a_random_walk_has_no_skill() -> None:
    """Where nothing is better than as now, the report does not say that something is."""
    walked = 1_000 + np.cumsum(np.random.default_rng(4).normal(0, 1, 1_000))
    assert backtest(series_of(clock(1_000), walked)).skill < 0.05


def test_the_horizon_is_five_minutes_of_any_step() -> None:
    """It is at least one step."""
    values = noisy(300)[:, 0]
    steps = {60.0: 5, 57.0: 5, 300.0: 1, 3_600.0: 1, 10.0: 30}
    assert {step: series_of(clock(300, step), values).horizon for step in steps} == steps


def test_clock_jumps_gaps_and_bad_values_are_left_out() -> None:
    """Rows that go back, repeat a time or are not finite are counted; gaps do not shift the others."""
    seconds, values = clock(400), noisy(400)[:, 0].copy()
    seconds[200:] += 7_200
    seconds[300], values[310], values[311] = seconds[100], np.nan, np.inf
    series = series_of(seconds, values)
    assert series.left_out == 3
    assert series.places[200] - series.places[199] == 121
    assert np.isfinite(backtest(series).skill)


def test_a_constant_series_is_judged_without_division_by_zero() -> None:
    """No skill, no breach, no error."""
    report = backtest(series_of(clock(300), np.full(300, 5.0)))
    assert (report.skill, report.onsets, report.brier_skill, report.precision) == (0.0, 0, 0.0, 0.0)


def test_average_precision_is_that_of_the_definition() -> None:
    """Perfect ranking gives 1, ties count as one threshold, and no positive gives 0."""
    positive = np.array([True, False, True, False])
    assert average_precision(positive, np.array([4.0, 2.0, 3.0, 1.0])) == 1.0
    assert average_precision(positive, np.zeros(4)) == 0.5
    assert average_precision(positive, np.array([1.0, 4.0, 2.0, 3.0])) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert average_precision(np.zeros(4, dtype=bool), np.arange(4.0)) == 0.0


def written(path: Path, rows: int, form: str = "{time},{value}") -> Path:
    lines = ["time,value"]
    for number, value in enumerate(noisy(rows)[:, 0]):
        moment = BEGUN + timedelta(minutes=number)
        lines.append(form.format(time=moment.isoformat(), value=value, seconds=moment.timestamp()))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["{time},{value}", '"{time}","{value}",0', "{seconds},{value}"])
def test_files_of_several_forms_are_the_same_series(tmp_path: Path, form: str) -> None:
    """Quoted or not, with further columns, times in ISO 8601 or in seconds."""
    one, other = (
        read_series(written(tmp_path / "a.csv", 250)),
        read_series(written(tmp_path / "b.csv", 250, form)),
    )
    assert np.array_equal(one.values, other.values)
    assert np.array_equal(one.places, other.places)
    assert replace(one, places=other.places, values=other.values) == other


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 rows"),
        (b"time,value\n2026-01-01,1\n", f"needs {MIN_POINTS}"),
        (b"time,value\nyesterday,1\n", "line 2: “yesterday,1” is not a time"),
        (b"time,value\n2026-01-01,many\n", "line 2"),
        (b"time\n2026-01-01\n", "line 2: one field, expected time,value"),
        (b"\xff\xfe\x00\x01" * 50, "no CSV file in UTF-8"),
        (b"time,value\n" + b"5,1\n" * 500, "a time after the row before"),
        (b"time,value\n" + b"".join(b"%d,nan\n" % n for n in range(500)), "finite value"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    """The message names the file or row, and what is accepted."""
    path = tmp_path / "series.csv"
    path.write_bytes(content)
    with pytest.raises(BacktestError) as raised:
        backtest(read_series(path))
    text = str(raised.value)
    assert said in text
    assert "\n" not in text
