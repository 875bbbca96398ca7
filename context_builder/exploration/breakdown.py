"""Loads the breakdown of a change: requests by all dimensions, after its onset and before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import select

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.drivers import Breakdown
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Distribution, Floats, Noise
from context_builder.exploration.series.timeline import HOUR
from context_builder.exploration.series.traffic import tier_conditions
from context_builder.question.request import ContextRequest, Window
from context_builder.rollups.chunk import Column
from context_builder.rollups.rows import Groups, Labels, Mask, Rows, labels_of
from context_builder.rollups.scope import known_scores, rollup_scope, users_in_scope
from context_builder.rollups.span import Span, by_hour, covering, minute_of
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import QUALITY, REQUESTS, SPEND
from models import FAILED_STATUSES, RequestStatus, Resolution, User
from models.histogram import Histogram
from models.quality_log import MILLION
from models.tables.schema import NANO

DIMENSIONS = ("deployment", "tier", "task_type", "router_version", "model", "backend", "region")
"""In order of preference among equally good descriptions."""
SLOW_QUANTILE = 0.9
"""A response is slow above this quantile of its deployment before the onset."""

CellValues = tuple[Any, ...]
Cell = tuple[CellValues, bool, CellValues]
"""Values of the dimensions, whether after the onset, and sums."""


@dataclass(frozen=True)
class ComparedSpans:
    """The time after an onset, and the baseline before it."""

    after: Window
    before: Window

    @classmethod
    def of(cls, shift: ChangePoint, request: ContextRequest, lookback: timedelta) -> ComparedSpans:
        """Return whole minutes after the onset, and the whole time explored before it."""
        start = min(request.window.start, shift.onset) - lookback
        return cls(
            Window(shift.onset, min(shift.until or request.window.end, request.window.end)),
            Window(start.replace(minute=0), shift.onset),
        )


@dataclass(frozen=True)
class LatencyHistograms:
    """Latency histograms by cell of a breakdown, after and before the onset."""

    after: Sequence[Histogram]
    before: Sequence[Histogram]


async def error_breakdown(rollups: Rollups, request: ContextRequest, spans: ComparedSpans) -> Breakdown:
    """Load requests and failed requests."""
    rows = await _read_rows(rollups, request, spans)
    failed = rows["requests"] * rows.having("status", FAILED_STATUSES)
    cells = await asyncio.to_thread(_cells, rows, spans, rows["requests"], failed)
    return _breakdown(cells, Noise(Distribution.BINOMIAL), lambda row: (float(row[0]), float(row[1])))


async def total_breakdown(
    rollups: Rollups, request: ContextRequest, spans: ComparedSpans, shift: ChangePoint
) -> Breakdown:
    """Load requests, or dollars in units of the mean cost of a request, and what was to be expected."""
    rows, times = await expected_rows(rollups, request, spans, shift)
    cells = await asyncio.to_thread(
        _cells, rows, spans, rows["requests"] * times, rows["cost_nanousd"] * times
    )
    unit = _unit_of(shift, [cell[2] for cell in cells])
    breakdown = _breakdown(
        cells,
        Noise(Distribution.POISSON),
        lambda row: (float(row[0]), _amount_of(shift, row, unit)),
        exposure=1.0 if shift.comparable else shift.exposure,
    )
    # The traffic of a version starts and ends with rollouts, whatever happens to volume.
    values = {name: of for name, of in breakdown.values.items() if name != "router_version"}
    return replace(breakdown, values=values, unit=unit)


async def expected_rows(
    rollups: Rollups, request: ContextRequest, spans: ComparedSpans, shift: ChangePoint
) -> tuple[Rows, Floats]:
    """Load requests after an onset and those to be expected, with how often each row counts."""
    scope = await rollup_scope(rollups, request)
    rows = scope.of(await rollups.read(REQUESTS, *_spans_of(spans, shift)))
    return rows, await asyncio.to_thread(_times, rows, spans, shift)


async def user_breakdown(
    rollups: Rollups, request: ContextRequest, spans: ComparedSpans, shift: ChangePoint
) -> Breakdown:
    """Load requests or dollars by user, and those that were to be expected."""
    rows = await rollups.read(SPEND, *_spans_of(spans, shift))
    rows = rows.where(users_in_scope(request.scope, rows))
    async with rollups.snapshot.session() as session:
        found = await session.execute(select(User.id, User.public_id).where(*tier_conditions(request)))
        users = {row.id: row.public_id for row in found}
    rows = rows.where(np.isin(rows["user_id"], list(users)))
    times = await asyncio.to_thread(_times, rows, spans, shift)
    cells = await asyncio.to_thread(
        _grouped,
        [labels_of(rows["user_id"], users.__getitem__)],
        rows.since(spans.after.start),
        rows["requests"] * times,
        rows["cost_nanousd"] * times,
    )
    unit = _unit_of(shift, [cell[2] for cell in cells])
    breakdown = _breakdown(
        cells, Noise(Distribution.POISSON), lambda row: (float(row[0]), _amount_of(shift, row, unit)),
        exposure=1.0 if shift.comparable else shift.exposure, dimensions=("user",),
    )  # fmt: skip
    return replace(breakdown, unit=unit)


async def code_breakdown(rollups: Rollups, request: ContextRequest, spans: ComparedSpans) -> Breakdown:
    """Load failed requests by error code, with those expected at the baseline rate."""
    rows = await _read_rows(rollups, request, spans)
    after = rows.since(spans.after.start)
    now, past = (float(rows["requests"][side].sum()) for side in (after, ~after))
    rows = rows.where(rows.having("status", FAILED_STATUSES))
    labels = [rows.labels("error_code"), rows.labels("status")]
    cells = await asyncio.to_thread(_grouped, labels, rows.since(spans.after.start), rows["requests"])
    bad = [((code or status,), side, count * 2) for (code, status), side, count in cells]
    return _breakdown(
        bad, Noise(Distribution.POISSON), lambda row: (float(row[0]), float(row[1])),
        exposure=now / past if past else 1.0, dimensions=("error_code",),
    )  # fmt: skip


async def quality_breakdown(rollups: Rollups, request: ContextRequest, spans: ComparedSpans) -> Breakdown:
    """Load scores and their distance from a perfect score."""
    # Whole hours only: the hour in progress may have scores from after the window.
    start, end = spans.before.start.replace(minute=0), spans.after.end.replace(minute=0)
    scope = await rollup_scope(rollups, request)
    rows = await rollups.read(QUALITY, *by_hour(start, end))
    rows = scope.of(rows.where(known_scores(rows, request)))
    cells = await asyncio.to_thread(
        _grouped,
        [rows.labels(dimension) for dimension in DIMENSIONS],
        rows.since(spans.after.start.replace(minute=0)),
        rows["scores"], rows["score_sum_millionths"], rows["score_square_sum_millionths"],
    )  # fmt: skip
    noise = Noise(Distribution.GAUSSIAN, _score_deviation([cell[2] for cell in cells]))
    return _breakdown(cells, noise, lambda row: (float(row[0]), row[0] - row[1] / MILLION))


async def latency_breakdown(
    rollups: Rollups, request: ContextRequest, spans: ComparedSpans
) -> tuple[Breakdown, LatencyHistograms]:
    """Load answered requests, and those slower than the SLOW_QUANTILE of their deployment's past."""
    rows = await _read_rows(rollups, request, spans)
    answers = rows.where(rows.having("status", (RequestStatus.SUCCESS,)))
    return await asyncio.to_thread(_slow_answers, answers, spans)


def _slow_answers(answers: Rows, spans: ComparedSpans) -> tuple[Breakdown, LatencyHistograms]:
    cells = _cells(answers, spans, answers["histogram"])
    rows: list[tuple[CellValues, bool, Histogram]] = [(values, after, one) for values, after, (one,) in cells]
    place = DIMENSIONS.index("deployment")
    limits = {}
    for deployment in {values[place] for values, _, _ in rows}:
        past = [one.counts for values, after, one in rows if values[place] == deployment and not after]
        limits[deployment] = Histogram.total_of(past).quantile(SLOW_QUANTILE)
    anywhere = Histogram.total_of([one.counts for _, after, one in rows if not after]).quantile(SLOW_QUANTILE)
    empty = Histogram({})
    keys = sorted({values for values, _, _ in rows})
    sides = {(values, after): one for values, after, one in rows}
    after = [sides.get((key, True), empty) for key in keys]
    before = [sides.get((key, False), empty) for key in keys]

    def slow(key: CellValues, one: Histogram) -> float:
        limit = limits[key[place]] or anywhere
        return float(one.above(limit)) if limit else 0.0

    breakdown = Breakdown(
        {name: [key[n] for key in keys] for n, name in enumerate(DIMENSIONS)},
        np.array([float(one.total) for one in after]),
        np.array([slow(key, one) for key, one in zip(keys, after, strict=True)]),
        np.array([float(one.total) for one in before]),
        np.array([slow(key, one) for key, one in zip(keys, before, strict=True)]),
        Noise(Distribution.BINOMIAL),
    )
    return breakdown, LatencyHistograms(after, before)


def _spans_of(spans: ComparedSpans, shift: ChangePoint) -> list[Span]:
    """Return the span after the onset, and the hours around the comparable ones or all before it."""
    if not shift.comparable:
        return [*covering(spans.after), *covering(spans.before)]
    hours = sorted({hour for window, _ in _earlier_spans(spans, shift) for hour in _hours_around(window)})
    runs = [0, *(n for n in range(1, len(hours)) if hours[n] - hours[n - 1] > HOUR), len(hours)]
    return [
        *covering(spans.after),
        *(Span(Resolution.HOUR, hours[first], hours[last - 1] + HOUR) for first, last in pairwise(runs)),
    ]


def _earlier_spans(spans: ComparedSpans, shift: ChangePoint) -> Iterator[tuple[Window, float]]:
    for days, weight in shift.comparable:
        by = timedelta(days=days)
        yield Window(spans.after.start - by, spans.after.end - by), weight


def _hours_around(window: Window) -> Iterator[datetime]:
    hour = window.start.replace(minute=0)
    while hour < window.end:
        yield hour
        hour += HOUR


def _times(rows: Rows, spans: ComparedSpans, shift: ChangePoint) -> Floats:
    """Return how often each row counts: once after the onset, by its part of the expectation before it."""
    if not shift.comparable:
        return np.ones(len(rows))
    starts = rows["start"].astype(np.float64)
    times = rows.since(spans.after.start).astype(np.float64)
    for window, weight in _earlier_spans(spans, shift):
        first, end = minute_of(window.start), minute_of(window.end)
        times += weight * np.clip(np.minimum(starts + 60, end) - np.maximum(starts, first), 0, 60) / 60
    return times


async def _read_rows(rollups: Rollups, request: ContextRequest, spans: ComparedSpans) -> Rows:
    scope = await rollup_scope(rollups, request)
    return scope.of(await rollups.read(REQUESTS, *covering(spans.after), *covering(spans.before)))


def _cells(rows: Rows, spans: ComparedSpans, *columns: Column) -> list[Cell]:
    labels = [rows.labels(dimension) for dimension in DIMENSIONS]
    return _grouped(labels, rows.since(spans.after.start), *columns)


def _grouped(labels: Sequence[Labels], after: Mask, *columns: Column) -> list[Cell]:
    """Return the sums of columns, or of histograms, by values of the dimensions and side; sorted."""
    groups = Groups(*(places for _, places in labels), after)
    names = [[values[place] for place in places[groups.first].tolist()] for values, places in labels]
    sums = [
        groups.histograms(column) if column.dtype == object else groups.sum(column).tolist()
        for column in columns
    ]
    sides = after[groups.first].tolist()
    return list(zip(zip(*names, strict=True), sides, zip(*sums, strict=True), strict=True))


def _breakdown(
    rows: Sequence[Cell],
    noise: Noise,
    level: Callable[[CellValues], tuple[float, float]],
    *,
    exposure: float | None = None,
    dimensions: Sequence[str] = DIMENSIONS,
) -> Breakdown:
    keys = sorted({values for values, _, _ in rows})
    place = {key: n for n, key in enumerate(keys)}
    sums = np.zeros((4, len(keys)))
    for values, after, row in rows:
        weight, mass = level(row)
        sums[0 if after else 2, place[values]] += weight
        sums[1 if after else 3, place[values]] += mass
    return Breakdown(
        {name: [key[n] for key in keys] for n, name in enumerate(dimensions)},
        sums[0], sums[1], sums[2], sums[3], noise, exposure,
    )  # fmt: skip


def _unit_of(shift: ChangePoint, rows: Sequence[CellValues]) -> float:
    """Return the mean cost of a request, by which dollars become comparable with counts."""
    requests, nano = sum(float(row[0]) for row in rows), sum(float(row[1]) for row in rows)
    return nano / requests / float(NANO) if shift.metric is Metric.COST and requests and nano else 1.0


def _amount_of(shift: ChangePoint, row: CellValues, unit: float) -> float:
    return float(row[1]) / float(NANO) / unit if shift.metric is Metric.COST else float(row[0])


def _score_deviation(rows: Sequence[CellValues]) -> float:
    """Return the standard deviation of scores within cells."""
    count, total = 0, 0.0
    for scores, sums, squares in rows:
        if scores > 1:
            count += scores - 1
            total += squares / MILLION - (sums / MILLION) ** 2 / scores
    return float(max(total / count if count else 1.0, 1e-4) ** 0.5)
