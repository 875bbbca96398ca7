"""Loads the breakdown of a change: requests by all dimensions, after its onset and before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Integer, String, case, cast, func, or_, select, type_coerce

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.drivers import Breakdown
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Distribution, Noise
from context_builder.exploration.series.traffic import tier_conditions
from context_builder.question.request import ContextRequest, Window
from context_builder.telemetry.rollups import (
    concatenated_histograms,
    in_window,
    merge_histograms,
    rollup_scope,
    scored_by,
)
from context_builder.telemetry.user_scope import of_users
from models import FAILED_STATUSES, Deployment, QualityRollup, RequestRollup, RequestStatus, User, UserSpend
from models.database import ReadSession
from models.histogram import Histogram
from models.quality_log import MILLION
from models.tables.schema import NANO

DIMENSIONS = ("deployment", "tier", "task_type", "router_version", "model", "backend", "region")
"""In order of preference among equally good descriptions."""
SLOW_QUANTILE = 0.9
"""A response is slow above this quantile of its deployment before the onset."""

CellValues = tuple[Any, ...]


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


async def error_breakdown(session: ReadSession, request: ContextRequest, spans: ComparedSpans) -> Breakdown:
    """Load requests and failed requests."""
    failed = case((RequestRollup.status.in_(FAILED_STATUSES), RequestRollup.requests), else_=0)
    columns = [func.sum(RequestRollup.requests), func.sum(failed)]
    rows = await _read_cells(session, request, spans, columns)
    return _breakdown(rows, Noise(Distribution.BINOMIAL), lambda row: (float(row[0]), float(row[1])))


async def total_breakdown(
    session: ReadSession, request: ContextRequest, spans: ComparedSpans, shift: ChangePoint
) -> Breakdown:
    """Load requests, or dollars in units of the mean cost of a request."""
    cost = cast(func.sum(type_coerce(RequestRollup.cost_usd, Integer)), String)
    rows = await _read_cells(session, request, spans, [func.sum(RequestRollup.requests), cost])
    unit = _unit_of(shift, [row[2] for row in rows])
    breakdown = _breakdown(
        rows,
        Noise(Distribution.POISSON),
        lambda row: (float(row[0]), _amount_of(shift, row, unit)),
        exposure=shift.exposure,
    )
    # The traffic of a version starts and ends with rollouts, whatever happens to volume.
    values = {name: of for name, of in breakdown.values.items() if name != "router_version"}
    return replace(breakdown, values=values, unit=unit)


async def user_breakdown(
    session: ReadSession, request: ContextRequest, spans: ComparedSpans, shift: ChangePoint
) -> Breakdown:
    """Load requests or dollars by user."""
    side = case((in_window(UserSpend, spans.after), 1), else_=0)
    rows = await session.execute(
        select(
            User.public_id, User.tier, side, func.sum(UserSpend.requests),
            cast(func.sum(type_coerce(UserSpend.cost_usd, Integer)), String),
        )
        .join(User, User.id == UserSpend.user_id)
        .where(
            or_(in_window(UserSpend, spans.after), in_window(UserSpend, spans.before)),
            of_users(request.scope, UserSpend.user_id),
            *tier_conditions(request),
        )
        .group_by(User.public_id, User.tier, side)
    )  # fmt: skip
    cells = [((row[0],), bool(row[2]), (row[3], row[4])) for row in rows]
    unit = _unit_of(shift, [cell[2] for cell in cells])
    breakdown = _breakdown(
        sorted(cells), Noise(Distribution.POISSON), lambda row: (float(row[0]), _amount_of(shift, row, unit)),
        exposure=shift.exposure, dimensions=("user",),
    )  # fmt: skip
    return replace(breakdown, unit=unit)


async def code_breakdown(session: ReadSession, request: ContextRequest, spans: ComparedSpans) -> Breakdown:
    """Load failed requests by error code, with those expected at the baseline rate."""
    side = case((in_window(RequestRollup, spans.after), 1), else_=0)
    failed = RequestRollup.status.in_(FAILED_STATUSES)
    scope = await rollup_scope(session, request)
    code = case((failed, RequestRollup.error_code), else_="")
    status = case((failed, RequestRollup.status), else_="")
    rows = await session.execute(
        select(code, status, side, func.sum(RequestRollup.requests))
        .where(
            or_(in_window(RequestRollup, spans.after), in_window(RequestRollup, spans.before)),
            scope.condition,
        )
        .group_by(code, status, side)
    )
    cells = sorted((row[0], row[1], bool(row[2]), float(row[3])) for row in rows)
    now, past = (sum(cell[3] for cell in cells if cell[2] is after) for after in (True, False))
    bad = [((code or status,), after, (count, count)) for code, status, after, count in cells if status]
    return _breakdown(
        bad, Noise(Distribution.POISSON), lambda row: (row[0], row[1]),
        exposure=now / past if past else 1.0, dimensions=("error_code",),
    )  # fmt: skip


async def quality_breakdown(session: ReadSession, request: ContextRequest, spans: ComparedSpans) -> Breakdown:
    """Load scores and their distance from a perfect score."""
    # Whole hours only: the hour in progress may have scores from after the window.
    start, end = spans.before.start.replace(minute=0), spans.after.end.replace(minute=0)
    side = case((QualityRollup.bucket_start >= spans.after.start.replace(minute=0), 1), else_=0)
    dimensions = _dimensions(QualityRollup)
    scope = await rollup_scope(session, request, QualityRollup)
    rows = await session.execute(
        select(
            *dimensions, side, func.sum(QualityRollup.scores), func.sum(QualityRollup.score_sum),
            func.sum(QualityRollup.score_square_sum),
        )
        .join(Deployment, Deployment.id == QualityRollup.deployment_id)
        .where(
            QualityRollup.bucket_start >= start, QualityRollup.bucket_start < end,
            scored_by(request.as_of, is_now=request.is_now), scope.condition,
        )
        .group_by(*dimensions, side)
    )  # fmt: skip
    width = len(dimensions)
    cells = sorted(
        (tuple(value or "" for value in row[:width]), bool(row[width]), tuple(map(int, row[width + 1 :])))
        for row in map(tuple, rows)
    )
    noise = Noise(Distribution.GAUSSIAN, _score_deviation([cell[2] for cell in cells]))
    return _breakdown(cells, noise, lambda row: (float(row[0]), row[0] - row[1] / MILLION))


async def latency_breakdown(
    session: ReadSession, request: ContextRequest, spans: ComparedSpans
) -> tuple[Breakdown, LatencyHistograms]:
    """Load answered requests, and those slower than the SLOW_QUANTILE of their deployment's past."""
    answered = RequestRollup.status == RequestStatus.SUCCESS
    gathered = await _read_cells(session, request, spans, [concatenated_histograms(session)], answered)
    return await asyncio.to_thread(_slow_answers, gathered)


def _slow_answers(
    gathered: Sequence[tuple[CellValues, bool, CellValues]],
) -> tuple[Breakdown, LatencyHistograms]:
    rows = [(values, after, merge_histograms(text)) for values, after, (text,) in gathered]
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


def _dimensions(table: type[RequestRollup | QualityRollup]) -> list[Any]:
    """Return the columns of DIMENSIONS."""
    return [
        Deployment.public_id, table.tier, table.task_type, table.router_version,
        Deployment.model, Deployment.backend, func.coalesce(Deployment.region, ""),
    ]  # fmt: skip


async def _read_cells(
    session: ReadSession,
    request: ContextRequest,
    spans: ComparedSpans,
    columns: Sequence[ColumnElement[Any]],
    *conditions: ColumnElement[bool],
) -> list[tuple[CellValues, bool, CellValues]]:
    """Load the values of the dimensions, whether after the onset, and the columns; sorted."""
    after, before = in_window(RequestRollup, spans.after), in_window(RequestRollup, spans.before)
    side = case((after, 1), else_=0)
    dimensions = _dimensions(RequestRollup)
    scope = await rollup_scope(session, request)
    rows = await session.execute(
        select(*dimensions, side, *columns)
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .where(or_(after, before), scope.condition, *conditions)
        .group_by(*dimensions, side)
    )
    width = len(dimensions)
    return sorted((tuple(row)[:width], bool(row[width]), tuple(row)[width + 1 :]) for row in rows)


def _breakdown(
    rows: Sequence[tuple[CellValues, bool, CellValues]],
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
