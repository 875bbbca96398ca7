"""Detects the changes of every metric of every slice that a window shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import exp

import numpy as np

from context_builder.exploration.change_point import (
    MAX_SAME_ONSET_GAP,
    ChangePoint,
    merge_events,
    onset_gap,
)
from context_builder.exploration.detection.known_days import known_as
from context_builder.exploration.detection.onset import (
    MAX_BUCKETS,
    LevelShift,
    level_shifts,
    min_evidence,
)
from context_builder.exploration.detection.ramp import find_ramp
from context_builder.exploration.detection.remainder import Remainder
from context_builder.exploration.series.metric import Metric, is_notable
from context_builder.exploration.series.quality import whole_hours
from context_builder.exploration.series.signal import Floats, Signal, SignalLevel
from context_builder.exploration.series.slices import (
    Slice,
    error_signal,
    iter_slices,
    latency_signal,
    mask_of,
    mean_log_latencies,
)
from context_builder.exploration.series.timeline import HOUR, Timeline
from context_builder.exploration.series.totals import TotalSignals
from context_builder.exploration.series.traffic import Cells
from context_builder.exploration.series.usual import Usual, comparable_days
from context_builder.question.request import ContextRequest

MIN_DEVIATIONS = 4.0
"""How many standard deviations a total must stray from what is usual at its hours."""
MIN_RELATED_DEVIATIONS = 2.5
"""The same for a total that changed when another metric of its requests did, as by clients that try again."""
_PRIOR_WEIGHT = 20.0
"""Requests for which the level of all time before counts in that of the same hours of earlier days."""
_MIN_COUNT = 8
"""Minimum requests, dollars or scores since an onset, except for totals that fell."""


@dataclass(frozen=True, slots=True)
class ObservedSignal:
    """One metric of one slice over a timeline."""

    metric: Metric
    slice: Slice
    signal: Signal
    timeline: Timeline
    history: _History | None = None
    """None: the slice has no history before the timeline."""
    usual: Usual | None = None
    """Of a total with a history: what it was at these hours before."""


@dataclass(frozen=True, slots=True)
class _History:
    """The time before a timeline, and it."""

    timeline: Timeline
    since: datetime
    """From when on the totals of its hours are known."""
    hours_before: float
    """From its start to that of the timeline explored."""
    signal: Callable[[], Signal] | None = None
    """Of a metric that is no total: its whole signal."""


def find_change_points(
    request: ContextRequest,
    timeline: Timeline,
    traffic: Cells,
    users: Cells | None,
    quality: Sequence[tuple[Slice, Signal]],
) -> list[ChangePoint]:
    """Return the changes that the window of a request shows, the clearest first, each told once.

    `traffic` and `users` begin before the timeline explored.
    """
    hours, recent = whole_hours(timeline), traffic.since(timeline)
    totals = TotalSignals(traffic, timeline)
    observed = [
        *(_rate_signals(traffic, recent, totals) if len(recent.slot) else ()),
        *(_total_signals(totals, traffic) if len(traffic.slot) else ()),
        *(_user_signals(users, totals) if users is not None and len(users.slot) else ()),
        *(ObservedSignal(Metric.QUALITY, one, signal, hours) for one, signal in quality),
    ]
    least = min_evidence(sum(min(len(one.signal), MAX_BUCKETS) for one in observed))
    found = [shift for one in observed for shift in _change_points(one, request, least)]
    clear = [shift for shift in found if shift.evidence >= MIN_DEVIATIONS**2]
    related = [shift for shift in found if shift not in clear and _goes_with(shift, clear)]
    told = Remainder(recent, totals, clear).unexplained(merge_events([*clear, *related]))
    if users is None:
        return told
    return [replace(one, known_as=known_as(one, users, totals.since)) for one in told]


def _goes_with(shift: ChangePoint, others: Sequence[ChangePoint]) -> bool:
    """Return whether another metric of the same, more or fewer requests changed at the same time."""
    return any(
        other.metric is not shift.metric
        and onset_gap(other, shift) <= MAX_SAME_ONSET_GAP
        and (other.slice.contains(shift.slice) or shift.slice.contains(other.slice))
        for other in others
    )


def _rate_signals(cells: Cells, recent: Cells, totals: TotalSignals) -> Iterator[ObservedSignal]:
    usual = mean_log_latencies(recent)
    for one, chosen in iter_slices(recent):
        for metric, signal_of in (
            (Metric.ERRORS, error_signal),
            (Metric.LATENCY, lambda some, mask: latency_signal(some, mask, usual)),
        ):

            def whole(one: Slice = one, signal_of: Callable[..., Signal] = signal_of) -> Signal:
                return signal_of(cells, mask_of(cells, one))

            history = _History(cells.timeline, totals.since, totals.hours_before, whole)
            yield ObservedSignal(metric, one, signal_of(recent, chosen), recent.timeline, history)


def _user_signals(users: Cells, totals: TotalSignals) -> Iterator[ObservedSignal]:
    yield from _total_signals(totals, users)
    yield from _user_failures(users, users.since(totals.timeline), totals)


def _user_failures(users: Cells, recent: Cells, totals: TotalSignals) -> Iterator[ObservedSignal]:
    for one, chosen in iter_slices(recent):
        if one.values:

            def whole(one: Slice = one) -> Signal:
                return error_signal(users, mask_of(users, one))

            history = _History(users.timeline, totals.since, totals.hours_before, whole)
            yield ObservedSignal(Metric.ERRORS, one, error_signal(recent, chosen), recent.timeline, history)


def _total_signals(totals: TotalSignals, cells: Cells) -> Iterator[ObservedSignal]:
    """Yield volume and cost of each slice; all requests are one of the traffic, and none of the users."""
    history = _History(cells.timeline, totals.since, totals.hours_before)
    for one, chosen in iter_slices(cells):
        if "user" in cells.names and not one.values:
            continue
        for metric, values in ((Metric.VOLUME, cells.requests), (Metric.COST, cells.cost_usd)):
            counted = totals.counted(cells, chosen, values)
            if counted is not None:
                signal, usual = totals.signal(counted)
                yield ObservedSignal(metric, one, signal, totals.timeline, history, usual)


def _change_points(observed: ObservedSignal, request: ContextRequest, least: float) -> Iterator[ChangePoint]:
    """Yield the notable changes of a signal that are visible in the window."""
    for found in level_shifts(observed.signal, least):
        level_shift = _beyond_usual(observed, found)
        if level_shift is None:
            continue
        shift = _change_point(observed, level_shift)
        is_over = shift.until is not None and shift.until <= request.window.start
        is_visible = not is_over and shift.onset < request.window.end
        has_enough = shift.counted >= _MIN_COUNT or (shift.metric.is_total and not shift.rose)
        if is_visible and has_enough and is_notable(shift.metric, shift.after, shift.before):
            yield shift


def _beyond_usual(observed: ObservedSignal, shift: LevelShift) -> LevelShift | None:
    """Return a change with the evidence left of it beside the same hours of earlier days, if enough."""
    if observed.usual is not None:
        return _beyond_usual_total(observed, observed.usual, shift)
    if observed.history is not None and observed.history.signal is not None:
        return _beyond_usual_rate(observed, observed.history, observed.history.signal, shift)
    return shift


def _beyond_usual_total(observed: ObservedSignal, usual: Usual, shift: LevelShift) -> LevelShift | None:
    before = observed.history.hours_before if observed.history else 0.0
    bounds = observed.timeline.bounds + before
    first, end = bounds[shift.first], bounds[-1 if shift.end is None else shift.end]
    rose = shift.away.value > shift.usual.value
    deviations, factor = usual.deviation(float(first), float(end), rose=rose)
    if (deviations > 0) != rose or abs(deviations) < MIN_RELATED_DEVIATIONS:
        return None
    if not is_notable(observed.metric, factor, 1.0):
        return None
    return replace(shift, evidence=min(shift.evidence, deviations**2))


def _beyond_usual_rate(
    observed: ObservedSignal, history: _History, whole: Callable[[], Signal], shift: LevelShift
) -> LevelShift | None:
    """Compare with the level of the same hours of earlier days, together."""
    start, end = _span_of(observed.timeline, shift)
    days = comparable_days(start, end, history.since)
    if not days:
        return shift
    signal = whole()
    bounds = history.timeline.bounds
    places = [(moment - history.timeline.start) / HOUR for moment in (start, end)]
    weight, mass = (
        sum(_between(bounds, values, *(place - 24 * number for place in places)) for number in days)
        for values in (signal.weight, signal.mass)
    )
    # Few requests at these hours say little: their level is that of all time before until there are more.
    level = (mass + _PRIOR_WEIGHT * shift.usual.value) / (weight + _PRIOR_WEIGHT)
    before = SignalLevel(shift.usual.weight, shift.usual.weight * level)
    evidence = signal.noise.evidence(shift.away, before)
    same_way = (shift.away.value > before.value) == (shift.away.value > shift.usual.value)
    after, usual = _levels(observed.metric, replace(shift, usual=before))
    if not same_way or evidence < MIN_DEVIATIONS**2 or not is_notable(observed.metric, after, usual):
        return None
    return shift


def _between(bounds: Floats, values: Floats, first: float, end: float) -> float:
    early, late = np.interp((first, end), bounds, np.concatenate([np.zeros(1), np.cumsum(values)]))
    return float(late - early)


def _span_of(timeline: Timeline, shift: LevelShift) -> tuple[datetime, datetime]:
    return timeline.starts[shift.first], timeline.end if shift.end is None else timeline.starts[shift.end]


def _change_point(observed: ObservedSignal, shift: LevelShift) -> ChangePoint:
    timeline = observed.timeline
    after, before = _levels(observed.metric, shift)
    change = ChangePoint(
        metric=observed.metric,
        slice=observed.slice,
        onset=timeline.starts[shift.first],
        earliest=timeline.starts[shift.first],
        latest=timeline.end_of(shift.within - 1),
        until=None if shift.end is None else timeline.starts[shift.end],
        after=after,
        before=before,
        counted=shift.away.mass if observed.metric.is_total else shift.away.weight,
        expected_per_hour=_expected_per_hour(observed, shift),
        expected=shift.away.weight * shift.usual.value if observed.metric.is_total else 0.0,
        exposure=_exposure(observed, shift),
        evidence=shift.evidence,
        comparable=_comparable(observed, shift),
    )
    return change if observed.metric.is_total else _as_ramp(observed, shift, change)


def _as_ramp(observed: ObservedSignal, shift: LevelShift, change: ChangePoint) -> ChangePoint:
    """Return a change with the beginning and the level of its ramp, if it is one."""
    timeline = observed.timeline
    ramp = find_ramp(observed.signal, timeline.hours, shift)
    if ramp is None:
        return change
    after, _ = _levels(observed.metric, replace(shift, away=ramp.away))
    level = SignalLevel(1.0, ramp.level)
    return replace(
        change,
        onset=timeline.starts[ramp.likeliest],
        earliest=timeline.starts[ramp.earliest],
        latest=timeline.end_of(ramp.latest),
        after=after,
        counted=ramp.away.weight,
        level_now=_levels(observed.metric, replace(shift, away=level))[0],
    )


def _levels(metric: Metric, shift: LevelShift) -> tuple[float, float]:
    """Return the level after the change and the baseline, as in `ChangePoint`."""
    away, usual = shift.away.value, shift.usual.value
    if metric is Metric.LATENCY:
        return exp(away - usual), 1.0
    if metric.is_total:
        return (away / usual if usual else 0.0), 1.0
    return away, usual


def _expected_per_hour(observed: ObservedSignal, shift: LevelShift) -> float:
    if not observed.metric.is_total:
        return 0.0
    slots = slice(shift.first, shift.within)
    hours = float(observed.timeline.hours[slots].sum())
    return float(observed.signal.weight[slots].sum()) * shift.usual.value / hours


def _exposure(observed: ObservedSignal, shift: LevelShift) -> float:
    past = float(observed.signal.weight[: shift.first].sum())
    return shift.away.weight / past if observed.metric.is_total and past else 1.0


def _comparable(observed: ObservedSignal, shift: LevelShift) -> tuple[tuple[int, float], ...]:
    if observed.usual is None or observed.history is None:
        return ()
    start, end = _span_of(observed.timeline, shift)
    return tuple(comparable_days(start, end, observed.history.since).items())
