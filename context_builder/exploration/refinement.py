"""Refines an onset found in coarse slots to the minute."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import select

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.detection.onset import OnsetEstimate, estimate_onset
from context_builder.exploration.detection.rhythm import Rhythm, find_rhythm
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Distribution, Floats, Noise, Signal
from context_builder.question.request import ContextRequest, Window
from context_builder.rollups.chunk import Column
from context_builder.rollups.rows import Groups, Rows
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import by_hour, by_minute, moment_of
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import REQUESTS, SPEND
from models import FAILED_STATUSES, RequestStatus, User
from models.histogram import LOG_SCALE

MINUTE = timedelta(minutes=1)
_MARGIN = timedelta(minutes=20)
"""Time examined on either side of the onset's slot."""

_MAX_SPAN = timedelta(hours=24)
_HOUR = timedelta(hours=1)
_MIN_RHYTHM = timedelta(hours=2)

Minutes = dict[datetime, tuple[float, float]]
"""Weight and mass by minute."""


async def refine_onset(rollups: Rollups, request: ContextRequest, shift: ChangePoint) -> ChangePoint:
    """Return the change with its onset to the minute, if its metric is recorded by the minute."""
    start = shift.earliest - _MARGIN
    last = min(shift.latest, shift.earliest + _MAX_SPAN) + _MARGIN
    end = min(last, request.window.end, shift.until or request.window.end)
    # A ramp is known by its slope over hours, which minutes do not show.
    if shift.metric is Metric.QUALITY or shift.level_now is not None or end - start < 2 * MINUTE:
        return shift
    if shift.slice.value_of("user"):
        found = await _read_user_minutes(rollups, shift, Window(start, end))
    else:
        found = await _read_minutes(rollups, request, shift, Window(start, end))
    usual = await _expected_minutes(rollups, request, shift, Window(start, end))
    # For a latency, every minute is tried as the onset.
    turn = await asyncio.to_thread(_estimate, shift, found, start, round((end - start) / MINUTE), usual)
    if turn is None:
        return shift
    return replace(
        shift,
        earliest=start + turn.first * MINUTE,
        onset=start + turn.likeliest * MINUTE,
        latest=start + (turn.last + 1) * MINUTE,
    )


async def with_rhythm(rollups: Rollups, request: ContextRequest, shift: ChangePoint) -> ChangePoint:
    """Return a rise of failures with its period, if they come and go with one."""
    window = Window(shift.onset, min(shift.until or request.window.end, request.window.end))
    if shift.metric is not Metric.ERRORS or not shift.rose or window.end - window.start < _MIN_RHYTHM:
        return shift
    window = replace(window, start=max(window.start, window.end - _MAX_SPAN))
    found = (
        await _read_user_minutes(rollups, shift, window)
        if shift.slice.value_of("user")
        else await _read_minutes(rollups, request, shift, window)
    )
    return replace(shift, rhythm=await asyncio.to_thread(_rhythm, found, window))


def _rhythm(found: Minutes, window: Window) -> Rhythm | None:
    counts = np.zeros((2, round((window.end - window.start) / MINUTE)))
    for moment, (requests, failed) in found.items():
        counts[:, round((moment - window.start) / MINUTE)] = requests, failed
    return find_rhythm(window.start.hour * 60 + window.start.minute, *counts)


async def _expected_minutes(
    rollups: Rollups, request: ContextRequest, shift: ChangePoint, window: Window
) -> Floats | None:
    """Return what was to be expected of a total in each minute, by its comparable days; None without any."""
    if not shift.comparable:
        return None
    user = await _user_id(rollups, shift) if shift.slice.value_of("user") else None
    expected = np.zeros(round((window.end - window.start) / MINUTE))
    for days, weight in shift.comparable:
        first = window.start - timedelta(days=days)
        whole = Window(first.replace(minute=0), (window.end - timedelta(days=days)).replace(minute=0) + _HOUR)
        hours = await _read_amounts(rollups, request, shift, whole, user)
        for moment, amount in hours.items():
            begin = round((moment - first) / MINUTE)
            expected[max(0, begin) : max(0, begin + 60)] += weight * amount / 60
    return expected


async def _read_amounts(
    rollups: Rollups, request: ContextRequest, shift: ChangePoint, window: Window, user: int | None
) -> dict[datetime, float]:
    """Load requests or dollars of a slice by whole hours; `user` is the id of the one that it is of."""
    spans = by_hour(window.start, window.end)
    if user is not None:
        rows = await rollups.read(SPEND, *spans)
        rows = rows.where(rows["user_id"] == user)
    else:
        scope = await rollup_scope(rollups, request)
        rows = scope.of(await rollups.read(REQUESTS, *spans))
        for dimension, value in shift.slice.values:
            rows = rows.where(rows.having(dimension, (value,)))
    amount = rows["cost_nanousd"] if shift.metric is Metric.COST else rows["requests"]
    return {moment: one for moment, (one, _) in _by_minute(rows, amount, amount).items()}


async def _user_id(rollups: Rollups, shift: ChangePoint) -> int | None:
    async with rollups.snapshot.session() as session:
        found: int | None = await session.scalar(
            select(User.id).where(User.public_id == shift.slice.value_of("user"))
        )
    return found


def _estimate(
    shift: ChangePoint, found: Minutes, start: datetime, minutes: int, expected: Floats | None
) -> OnsetEstimate | None:
    """Estimate the onset in minutes from `start`; None if there were no requests."""
    signal, usual, away = _signal(shift, found, start, minutes, expected)
    return estimate_onset(signal, usual, away) if signal.weight.sum() else None


async def _read_minutes(
    rollups: Rollups, request: ContextRequest, shift: ChangePoint, window: Window
) -> Minutes:
    """Load requests and failed ones, dollars, or answered requests and the sum of their log latencies."""
    scope = await rollup_scope(rollups, request)
    rows = scope.of(await rollups.read(REQUESTS, *by_minute(window)))
    chosen = np.ones(len(rows), dtype=np.bool_)
    for dimension, value in shift.slice.values:
        chosen &= rows.having(dimension, (value,))
    if shift.metric is Metric.LATENCY:
        chosen &= rows.having("status", (RequestStatus.SUCCESS,))
    rows = rows.where(chosen)
    if shift.metric is Metric.LATENCY:
        return _by_minute(rows, rows["timed"], rows["log_sum"], unit=1 / LOG_SCALE)
    amount = rows["cost_nanousd"] if shift.metric is Metric.COST else rows["requests"]
    return _by_minute(rows, amount, rows["requests"] * rows.having("status", FAILED_STATUSES))


async def _read_user_minutes(rollups: Rollups, shift: ChangePoint, window: Window) -> Minutes:
    """Load requests and failed ones, or dollars, of the slice's user."""
    user = await _user_id(rollups, shift)
    rows = await rollups.read(SPEND, *by_minute(window))
    rows = rows.where(rows["user_id"] == user)
    amount = rows["cost_nanousd"] if shift.metric is Metric.COST else rows["requests"]
    return _by_minute(rows, amount, rows["failed"])


def _by_minute(rows: Rows, weight: Column, mass: Column, *, unit: float = 1.0) -> Minutes:
    minutes = Groups(rows["start"])
    columns = (rows["start"][minutes.first], minutes.sum(weight), minutes.sum(mass) * unit)
    return {
        moment_of(start): (float(one), float(other))
        for start, one, other in zip(*(column.tolist() for column in columns), strict=True)
    }


def _signal(
    shift: ChangePoint, found: Minutes, start: datetime, minutes: int, expected: Floats | None
) -> tuple[Signal, float, float]:
    """Return the minutes as a signal, and its levels before and after the onset."""
    weight, mass = np.zeros(minutes), np.zeros(minutes)
    for moment, (one, other) in found.items():
        place = round((moment - start) / MINUTE)
        weight[place], mass[place] = one, other
    if shift.metric.is_total:
        return _total_signal(weight, shift, expected)
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


def _total_signal(
    counted: Floats, shift: ChangePoint, expected: Floats | None
) -> tuple[Signal, float, float]:
    """Compare amounts with those expected, or with a constant, accurate enough over an hour or two."""
    if expected is None or not expected.any():
        usual = float(counted.mean()) / ((1 + shift.after) / 2)
        level = usual if shift.metric is Metric.COST else shift.expected_per_hour / 60
        expected = np.full(len(counted), level)
    # In units of a minute's usual amount of requests, so that dollars weigh like counts.
    unit = 1.0 if shift.metric is Metric.VOLUME else max(float(expected.mean()), 1e-9)
    signal = Signal.by_slot(Noise(Distribution.POISSON), np.maximum(expected / unit, 1e-3), counted / unit)
    return signal, 1.0, shift.after
