"""Refines an onset found in coarse slots to the minute."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, ColumnElement, case, func, select, type_coerce

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.onset import OnsetEstimate, estimate_onset
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Distribution, Floats, Noise, Signal
from context_builder.question.request import ContextRequest
from context_builder.telemetry.rollups import concatenated_histograms, rollup_scope
from models import FAILED_STATUSES, Deployment, RequestRollup, RequestStatus, Resolution, User, UserSpend
from models.database import ReadSession
from models.histogram import log_moments

MINUTE = timedelta(minutes=1)
_MARGIN = timedelta(minutes=20)
"""Time examined on either side of the onset's slot."""

_MAX_SPAN = timedelta(hours=24)

Minutes = dict[datetime, tuple[float, float]]
"""Weight and mass by minute."""


async def refine_onset(session: ReadSession, request: ContextRequest, shift: ChangePoint) -> ChangePoint:
    """Return the change with its onset to the minute, if its metric is recorded by the minute."""
    start = shift.earliest - _MARGIN
    last = min(shift.latest, shift.earliest + _MAX_SPAN) + _MARGIN
    end = min(last, request.window.end, shift.until or request.window.end)
    if shift.metric is Metric.QUALITY or end - start < 2 * MINUTE:
        return shift
    if shift.slice.value_of("user"):
        found = await _read_user_minutes(session, shift, start, end)
    else:
        found = await _read_minutes(session, request, shift, start, end)
    # For a latency, every minute is tried as the onset.
    turn = await asyncio.to_thread(_estimate, shift, found, start, round((end - start) / MINUTE))
    if turn is None:
        return shift
    return replace(
        shift,
        earliest=start + turn.first * MINUTE,
        onset=start + turn.likeliest * MINUTE,
        latest=start + (turn.last + 1) * MINUTE,
    )


def _estimate(shift: ChangePoint, found: Minutes, start: datetime, minutes: int) -> OnsetEstimate | None:
    """Estimate the onset in minutes from `start`; None if there were no requests."""
    signal, usual, away = _signal(shift, found, start, minutes)
    return estimate_onset(signal, usual, away) if signal.weight.sum() else None


async def _read_minutes(
    session: ReadSession, request: ContextRequest, shift: ChangePoint, start: datetime, end: datetime
) -> Minutes:
    """Load requests and failed ones, dollars, or answered requests and the sum of their log latencies."""
    scope = await rollup_scope(session, request)
    conditions = [
        scope.condition,
        RequestRollup.resolution == Resolution.MINUTE,
        RequestRollup.bucket_start >= start,
        RequestRollup.bucket_start < end,
        *_slice_conditions(shift),
    ]
    by_minute = (
        select(RequestRollup.bucket_start)
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .group_by(RequestRollup.bucket_start)
    )
    if shift.metric is Metric.LATENCY:
        conditions.append(RequestRollup.status == RequestStatus.SUCCESS)
        gathered = await session.execute(
            by_minute.add_columns(concatenated_histograms(session)).where(*conditions)
        )
        return await asyncio.to_thread(_log_latencies, [(row[0], row[1]) for row in gathered])
    failed = case((RequestRollup.status.in_(FAILED_STATUSES), RequestRollup.requests), else_=0)
    amount = _nano_dollars(RequestRollup) if shift.metric is Metric.COST else RequestRollup.requests
    counted = await session.execute(
        by_minute.add_columns(func.sum(amount), func.sum(failed)).where(*conditions)
    )
    return {moment: (float(total), float(bad)) for moment, total, bad in counted}


def _log_latencies(gathered: Sequence[tuple[datetime, str]]) -> Minutes:
    moments = log_moments([bytes.fromhex(text) for _, text in gathered])
    return {
        minute: (float(timed), float(log_sum))
        for (minute, _), (timed, log_sum, _) in zip(gathered, moments, strict=True)
    }


def _nano_dollars(table: type[RequestRollup | UserSpend]) -> ColumnElement[Any]:
    return type_coerce(table.cost_usd, BigInteger)


def _slice_conditions(shift: ChangePoint) -> list[ColumnElement[bool]]:
    columns = {"deployment": Deployment.public_id, "tier": RequestRollup.tier}
    return [columns[dimension] == value for dimension, value in shift.slice.values]


async def _read_user_minutes(
    session: ReadSession, shift: ChangePoint, start: datetime, end: datetime
) -> Minutes:
    amount = _nano_dollars(UserSpend) if shift.metric is Metric.COST else UserSpend.requests
    rows = await session.execute(
        select(UserSpend.bucket_start, amount)
        .join(User, User.id == UserSpend.user_id)
        .where(
            UserSpend.resolution == Resolution.MINUTE,
            User.public_id == shift.slice.value_of("user"),
            UserSpend.bucket_start >= start,
            UserSpend.bucket_start < end,
        )
    )
    return {moment: (float(total), 0.0) for moment, total in rows}


def _signal(shift: ChangePoint, found: Minutes, start: datetime, minutes: int) -> tuple[Signal, float, float]:
    """Return the minutes as a signal, and its levels before and after the onset."""
    weight, mass = np.zeros(minutes), np.zeros(minutes)
    for moment, (one, other) in found.items():
        place = round((moment - start) / MINUTE)
        weight[place], mass[place] = one, other
    if shift.metric in (Metric.VOLUME, Metric.COST):
        return _total_signal(weight, shift)
    if shift.metric is Metric.ERRORS:
        return Signal.by_slot(Noise(Distribution.BINOMIAL), weight, mass), shift.before, shift.after
    # Levels of latencies are factors of a baseline that is best estimated from the minutes themselves.
    away = float(np.log(shift.after))
    usual = _usual_log_latency(weight, mass, away)
    return Signal.by_slot(Noise(Distribution.GAUSSIAN), weight, mass), usual, usual + away


def _usual_log_latency(weight: Floats, mass: Floats, away: float) -> float:
    """Return the level before the onset, for the onset that fits the minutes best."""
    known = weight > 0
    best, usual = np.inf, 0.0
    for onset in range(len(weight) + 1):
        above = np.where(np.arange(len(weight)) >= onset, away, 0.0)
        level = float((mass - weight * above).sum() / weight.sum()) if weight.sum() else 0.0
        misfit = float((((mass - weight * (level + above)) ** 2)[known] / weight[known]).sum())
        if misfit < best:
            best, usual = misfit, level
    return usual


def _total_signal(counted: Floats, shift: ChangePoint) -> tuple[Signal, float, float]:
    """Compare amounts with a constant expectation, which is accurate enough over an hour or two."""
    if shift.metric is Metric.COST:
        usual = float(counted.mean()) / ((1 + shift.after) / 2)
        counted = counted / max(usual, 1e-9)
        expected = np.ones(len(counted))
    else:
        expected = np.full(len(counted), max(shift.expected_per_hour / 60, 1e-3))
    return Signal.by_slot(Noise(Distribution.POISSON), expected, counted), 1.0, shift.after
