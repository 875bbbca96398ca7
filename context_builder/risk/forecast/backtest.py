"""Forecasts a series of the past as if it were the present, and says how good the forecasts were.

The first half teaches; figures are of the second half.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from context_builder.errors import ContextBuilderError
from context_builder.risk.forecast.conformal import LEVELS
from context_builder.risk.forecast.experts import EXPERTS, SIMPLE
from context_builder.risk.forecast.panel import Panel, Trained
from context_builder.risk.measures.history import MAX_GAP
from context_builder.risk.measures.series_table import Floats, Mask, Places
from context_builder.risk.outlook import HORIZON

MIN_POINTS = 200
MAX_POINTS = 1_000_000
LIMIT_SHARE = 0.95
"""Without a limit of its own a series has this quantile of its first half."""
Progress = Callable[[int, int], None]
"""Called with the number done and the total."""
_REPORT_EVERY = 100
_DAY_S = 86_400.0
_MIN_STEP_S, _MAX_STEP_S, _MAX_PLACES = 0.001, 366 * _DAY_S, 10_000_000
_FIELDS = 2


class BacktestError(ContextBuilderError, ValueError):
    """A series that cannot be forecast; the message says where and what is accepted."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values at equal steps, some of them missing."""

    step_s: float
    places: Places
    """Number of the step of each value, ascending."""
    values: Floats
    left_out: int
    """Rows that were not later than the one before, or whose value was not finite."""

    @property
    def horizon(self) -> int:
        """Return the steps of HORIZON, at least one."""
        return max(1, round(HORIZON.total_seconds() / self.step_s))

    @property
    def day(self) -> int:
        """Return the steps of a day; 0 if a step is longer."""
        return round(_DAY_S / self.step_s) if self.step_s < _DAY_S else 0


@dataclass(frozen=True, slots=True)
class Walk:
    """What was forecast at each value, before the next was known."""

    expected: Floats
    bounds: Floats
    """Shape (values, LEVELS)."""
    experts: Floats
    """Shape (values, SIMPLE)."""
    probability: Floats
    leader: Places


@dataclass(frozen=True, slots=True)
class Report:
    """How good the forecasts of the second half were."""

    points: int
    left_out: int
    step: timedelta
    horizon: int
    """Steps."""
    forecasts: int
    """Those judged."""
    skill: float
    """1 - mean absolute error / that of "as now"."""
    naive: dict[str, float]
    """Skill of each simple forecaster by itself."""
    coverage: dict[float, float]
    """Share of outcomes below the bound of each level."""
    limit: float
    onsets: int
    """Moments below the limit that were followed by a breach within the horizon."""
    base_rate: float
    precision: float
    """Average precision of the breach probability."""
    margin_precision: float
    """That of ranking by the present value."""
    brier_skill: float
    """1 - Brier score / that of always giving the base rate."""

    @property
    def best_naive(self) -> str:
        """Return the simple forecaster that was best in hindsight."""
        return max(self.naive, key=lambda name: self.naive[name])


def read_series(path: Path) -> Series:
    """Read a CSV file with a heading, whose first two columns are time and value.

    Raises:
        BacktestError: It has another form, or too few or too many rows.
        OSError: It cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(file, path.name))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BacktestError(f"{path.name} is no CSV file in UTF-8: {error}") from None
    if not MIN_POINTS <= len(rows) <= MAX_POINTS:
        raise BacktestError(
            f"{path.name} has {len(rows):,} rows; a backtest needs {MIN_POINTS:,} to {MAX_POINTS:,}"
        )
    return series_of(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))


def _rows(file: Iterator[str], name: str) -> Iterator[tuple[float, float]]:
    for number, row in enumerate(csv.reader(file), start=1):
        if number == 1 or not row:
            continue
        if len(row) < _FIELDS:
            raise BacktestError(f"{name}, line {number}: one field, expected time,value")
        try:
            yield _seconds(row[0]), float(row[1])
        except (ValueError, OverflowError):
            fields = ",".join(row[:_FIELDS])[:60]
            expected = "a time (ISO 8601, or seconds since 1970) and a number"
            raise BacktestError(f"{name}, line {number}: “{fields}” is not {expected}") from None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def series_of(seconds: Floats, values: Floats) -> Series:
    """Put values onto equal steps; those that are not later than the newest before are left out.

    Raises:
        BacktestError: No two times differ, or they reach further than MAX_POINTS steps.
    """
    known = np.where(np.isfinite(seconds), seconds, -np.inf)
    newest = np.maximum.accumulate(np.concatenate([[-np.inf], known[:-1]]))
    kept = np.isfinite(values) & np.isfinite(seconds) & (seconds > newest)
    seconds, taken = seconds[kept], values[kept]
    if len(taken) < MIN_POINTS:
        raise BacktestError(
            f"only {len(taken)} of {len(values):,} rows have a finite value and a time after the row before;"
            f" a backtest needs {MIN_POINTS}"
        )
    step = float(np.median(np.diff(seconds)))
    if not _MIN_STEP_S <= step <= _MAX_STEP_S or (seconds[-1] - seconds[0]) / step > _MAX_PLACES:
        raise BacktestError(
            f"steps of {step:g} s over {seconds[-1] - seconds[0]:g} s are none that can be forecast; "
            f"{_MIN_STEP_S:g} s to a year each are, and at most {_MAX_PLACES:,} of them"
        )
    places = np.round((seconds - seconds[0]) / step).astype(np.int64)
    once = np.concatenate([[True], np.diff(places) > 0])
    return Series(step, places[once], taken[once], len(values) - int(once.sum()))


def walk(
    series: Series, limit: float, trained: Trained | None = None, report: Progress = lambda *_: None
) -> Walk:
    """Forecast every value of a series from those before it."""
    panel = Panel(series.horizon, series.day, trained)
    panel.grow(1)
    size = len(series.values)
    found = Walk(
        np.full(size, np.nan), np.full((size, len(LEVELS)), np.nan), np.full((size, len(SIMPLE)), np.nan),
        np.full(size, np.nan), np.zeros(size, dtype=np.int64),
    )  # fmt: skip
    limits, missing, last = np.array([limit]), np.array([np.nan]), int(series.places[0]) - 1
    for number, (place, value) in enumerate(zip(series.places.tolist(), series.values.tolist(), strict=True)):
        if place - last - 1 > MAX_GAP:
            panel.interrupt()
        else:
            for between in range(last + 1, place):
                panel.step(missing, limits, between)
        forecast = panel.step(np.array([value]), limits, place)
        found.expected[number], found.bounds[number] = forecast.expected[0], forecast.bounds[0]
        found.experts[number] = forecast.step.simple[0]
        found.probability[number], found.leader[number] = forecast.probability[0], forecast.leader[0]
        last = place
        if number % _REPORT_EVERY == 0:
            report(number, size)
    return found


def backtest(
    series: Series,
    limit: float | None = None,
    trained: Trained | None = None,
    report: Progress = lambda *_: None,
) -> Report:
    """Forecast a series and judge the forecasts of its second half; `limit` is its breach limit.

    Raises:
        BacktestError: No forecast of the second half has an outcome.
    """
    half = len(series.values) // 2
    limit = float(np.quantile(series.values[:half], LIMIT_SHARE)) if limit is None else limit
    walked = walk(series, limit, trained, report)
    made, due = _pairs(series, half)
    if not len(made):
        raise BacktestError("no two values of the second half are one horizon apart")
    outcome = series.values[due]
    error = np.abs(outcome - walked.expected[made])
    errors = np.abs(outcome[:, None] - walked.experts[made]).mean(axis=0)
    now = errors[EXPERTS.index("now")]
    breached = _breached(series, limit, made)
    below = made[series.values[made] <= limit]
    crossed = breached[series.values[made] <= limit]
    base = float(crossed.mean()) if len(crossed) else 0.0
    variance = base * (1 - base)
    brier = float(np.mean((walked.probability[below] - crossed) ** 2)) if len(below) else 0.0
    return Report(
        points=len(series.values),
        left_out=series.left_out,
        step=timedelta(seconds=series.step_s),
        horizon=series.horizon,
        forecasts=len(made),
        skill=_skill(float(error.mean()), now),
        naive={name: _skill(one, now) for name, one in zip(SIMPLE, errors.tolist(), strict=True)},
        coverage={
            level: float((outcome <= walked.bounds[made, column]).mean())
            for column, level in enumerate(LEVELS)
        },
        limit=limit,
        onsets=int(crossed.sum()),
        base_rate=base,
        precision=average_precision(crossed, walked.probability[below]),
        margin_precision=average_precision(crossed, series.values[below]),
        brier_skill=1 - brier / variance if variance else 0.0,
    )


def _skill(error: float, now: float) -> float:
    return 1 - error / now if now > 0 else 0.0


def _pairs(series: Series, half: int) -> tuple[Places, Places]:
    """Return where forecasts of the second half were made, and where they fall due."""
    made = np.arange(half, len(series.values))
    due = np.searchsorted(series.places, series.places[made] + series.horizon)
    inside = due < len(series.places)
    made, due = made[inside], due[inside]
    exact = series.places[due] == series.places[made] + series.horizon
    return made[exact], due[exact]


def _breached(series: Series, limit: float, made: Places) -> Mask:
    """Return whether any value within the horizon was above the limit."""
    above = np.concatenate([[0], np.cumsum(series.values > limit)])
    until = np.searchsorted(series.places, series.places[made] + series.horizon, side="right")
    breached: Mask = above[until] > above[made + 1]
    return breached


def average_precision(positive: Mask, score: Floats) -> float:
    """Return the mean precision at each positive, ranked by score; ties count as one threshold."""
    if not positive.any():
        return 0.0
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.concatenate([np.diff(score[order]) != 0, [True]])
    precision = hits[last] / (np.flatnonzero(last) + 1)
    return float((np.diff(hits[last], prepend=0) * precision).sum() / hits[-1])
