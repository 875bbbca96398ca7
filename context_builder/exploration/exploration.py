"""Explores the rollups for one question, once, and shares the findings between sources."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import exp
from typing import Self

import numpy as np

from context_builder.deadlines import Deadlines
from context_builder.exploration.change_point import (
    FAR_FUTURE,
    MAX_RELATED_ONSET_GAP,
    ChangePoint,
    merge_events,
    onset_gap,
)
from context_builder.exploration.onset import MAX_BUCKETS, LevelShift, level_shifts, min_evidence
from context_builder.exploration.refinement import refine_onset
from context_builder.exploration.series.metric import Metric, is_notable
from context_builder.exploration.series.quality import quality_signals, whole_hours
from context_builder.exploration.series.signal import Signal
from context_builder.exploration.series.slices import (
    Slice,
    error_signal,
    iter_slices,
    latency_signal,
    mean_log_latencies,
)  # fmt: skip
from context_builder.exploration.series.timeline import Timeline
from context_builder.exploration.series.totals import TotalSignals
from context_builder.exploration.series.traffic import Cells, read_traffic, read_users
from context_builder.exploration.series.usual import Usual, comparable_days
from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.question.times.bounds import floor_to_minute
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.store import Rollups
from context_builder.shared_work import SharedWork

LOOKBACK = timedelta(days=7)
"""Time before the window that is explored, as a baseline."""
HISTORY = timedelta(days=35)
"""Time before the window from which it is learnt what totals are usual at an hour of the week."""
AFTERMATH = timedelta(hours=6)
"""Time after a past window that is explored."""
ONSET_TIMEOUT_S = 3.0
"""Time a source waits for the onset before it reports without it; well below its own deadline."""
MAX_CHANGE_POINTS = 8
MAX_PER_METRIC = 3
_MIN_COUNT = 8
"""Minimum requests, dollars or scores since an onset, except for totals that fell."""


@dataclass(frozen=True, slots=True)
class ObservedSignal:
    """One metric of one slice over a timeline."""

    metric: Metric
    slice: Slice
    signal: Signal
    timeline: Timeline
    usual: Usual | None = None
    """Of a total with a history: what it was at these hours before."""
    hours_before: float = 0.0
    """From the start of `usual` to that of the timeline."""
    since: datetime = FAR_FUTURE
    """From when on the totals of earlier hours are known."""


@dataclass(frozen=True, slots=True)
class ExplorationFindings:
    """The result of an exploration."""

    shifts: tuple[ChangePoint, ...]
    """Changes that are visible in the window; the metrics asked about first."""
    has_traffic: bool
    """True if there are requests in scope, in the window or before it."""
    gaps: tuple[str, ...]
    """Limits of the figures for the scope."""


@dataclass(frozen=True, slots=True)
class Onset:
    """The most likely start of what a question is about."""

    at: datetime | None
    """None if there was no significant change, or if that is unknown, as `gaps` then states."""
    gaps: tuple[str, ...] = ()


def with_aftermath(request: ContextRequest) -> ContextRequest:
    """Extend the window by its AFTERMATH, in which changes near its end become visible."""
    end = max(request.window.end, min(floor_to_minute(request.as_of), request.window.end + AFTERMATH))
    return replace(request, window=replace(request.window, end=end))


class Exploration:
    """The explorations of one snapshot, each done once, as a context manager within it."""

    def __init__(self, rollups: Rollups, deadlines: Deadlines | None = None) -> None:
        self._rollups = rollups
        self._deadlines = deadlines or Deadlines()
        self._work = SharedWork()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._work.close()

    async def findings(self, request: ContextRequest) -> ExplorationFindings:
        """Return the findings; the work survives a caller's cancellation."""
        asked = request.narrowed(frozenset({Wording.TOPICS}))
        return await self._work.result(asked, lambda: self._explore(asked))

    async def onset(self, request: ContextRequest) -> Onset:
        """Return the first onset if found within ONSET_TIMEOUT_S, for sources that can do without it."""
        search = asyncio.create_task(self.findings(request))
        try:
            async with self._deadlines.within(ONSET_TIMEOUT_S):
                await asyncio.wait({search})
        except TimeoutError:
            return Onset(None, ("the onset (not found in time)",))
        else:
            if search.cancelled() or search.exception() is not None:
                return Onset(None, ("the onset (the search failed)",))
        finally:
            search.cancel()
        shifts = search.result().shifts
        return Onset(shifts[0].onset if shifts else None)

    async def _explore(self, asked: ContextRequest) -> ExplorationFindings:
        scope = asked.narrowed(frozenset())
        found = await self._work.result(("found", scope), lambda: self._find(scope))
        leading = _select(asked, found.shifts)
        shifts = [await refine_onset(self._rollups, with_aftermath(scope), shift) for shift in leading]
        return replace(found, shifts=tuple(shifts))

    async def _find(self, asked: ContextRequest) -> ExplorationFindings:
        """Return every change in a scope, before the topics of a question select some."""
        request = with_aftermath(asked)
        timeline, history = (Timeline.of(request.window, span) for span in (LOOKBACK, HISTORY))
        scope = await rollup_scope(self._rollups, request)
        traffic = await read_traffic(self._rollups, request, history)
        users = await read_users(self._rollups, request, history)
        quality = await quality_signals(self._rollups, request, timeline)
        # Thousands of comparisons, off the event loop.
        found = await asyncio.to_thread(_find_change_points, asked, timeline, traffic, users, quality)
        return ExplorationFindings(tuple(found), bool(len(traffic.slot)), scope.gaps)


def _select(request: ContextRequest, shifts: Sequence[ChangePoint]) -> list[ChangePoint]:
    """Select gaps first, then metrics asked about, then by evidence; at most MAX_PER_METRIC of each metric.

    Cost that merely follows volume is kept only if cost is asked about, and never if requests stopped.
    """

    def order(shift: ChangePoint) -> tuple[bool, bool, bool, float]:
        asked = shift.metric.topic in request.topics
        return not shift.is_gap, not asked, shift.metric is Metric.COST and not asked, -shift.evidence

    volumes = [shift for shift in shifts if shift.metric is Metric.VOLUME]
    seen: Counter[Metric] = Counter()
    leading = []
    for shift in sorted(shifts, key=order):
        if shift.metric is Metric.COST and any(_is_silence(shift, one) for one in volumes):
            continue
        if (
            shift.metric is Metric.COST
            and Topic.COST not in request.topics
            and _follows_volume(shift, volumes)
        ):
            continue
        seen[shift.metric] += 1
        if seen[shift.metric] <= MAX_PER_METRIC:
            leading.append(shift)
    return leading[:MAX_CHANGE_POINTS]


def _follows_volume(cost: ChangePoint, volumes: Sequence[ChangePoint]) -> bool:
    return any(cost.rose == one.rose and onset_gap(cost, one) <= MAX_RELATED_ONSET_GAP for one in volumes)


def _is_silence(cost: ChangePoint, volume: ChangePoint) -> bool:
    """Return whether cost fell only because requests of its slice, or of a larger one, stopped."""
    if cost.rose or volume.rose or volume.counted or onset_gap(cost, volume) > MAX_RELATED_ONSET_GAP:
        return False
    ends = cost.until or FAR_FUTURE, volume.until or FAR_FUTURE
    stopped = (volume.slice, *volume.also)
    return abs(ends[0] - ends[1]) <= MAX_RELATED_ONSET_GAP and any(
        one.contains(cost.slice) for one in stopped
    )


def _find_change_points(
    request: ContextRequest,
    timeline: Timeline,
    traffic: Cells,
    users: Cells | None,
    quality: Sequence[tuple[Slice, Signal]],
) -> list[ChangePoint]:
    hours = whole_hours(timeline)
    totals = TotalSignals(traffic, timeline)
    observed = [
        *_traffic_signals(traffic.since(timeline)),
        *(_total_signals(totals, traffic) if len(traffic.slot) else ()),
        *(_total_signals(totals, users) if users is not None and len(users.slot) else ()),
        *(ObservedSignal(Metric.QUALITY, one, signal, hours) for one, signal in quality),
    ]
    least = min_evidence(sum(min(len(one.signal), MAX_BUCKETS) for one in observed))
    shifts = (shift for one in observed for shift in _change_points(one, request, least))
    return merge_events(shifts)


def _traffic_signals(cells: Cells) -> Iterator[ObservedSignal]:
    if not len(cells.slot):
        return
    usual = mean_log_latencies(cells)
    for one, chosen in iter_slices(cells):
        yield ObservedSignal(Metric.ERRORS, one, error_signal(cells, chosen), cells.timeline)
        yield ObservedSignal(Metric.LATENCY, one, latency_signal(cells, chosen, usual), cells.timeline)


def _total_signals(totals: TotalSignals, cells: Cells) -> Iterator[ObservedSignal]:
    """Yield volume and cost of each slice; all requests are one of the traffic, and none of the users."""
    of_users = "user" in cells.names
    for one, chosen in iter_slices(cells):
        if of_users and not one.values:
            continue
        for metric, values in ((Metric.VOLUME, cells.requests), (Metric.COST, cells.cost_usd)):
            counted = totals.counted(cells, chosen, values)
            if counted is not None:
                signal, usual = totals.signal(counted)
                yield ObservedSignal(
                    metric, one, signal, totals.timeline, usual, totals.hours_before, totals.since
                )


def _change_points(observed: ObservedSignal, request: ContextRequest, least: float) -> Iterator[ChangePoint]:
    """Yield the notable changes of a signal that are visible in the window."""
    for found in level_shifts(observed.signal, least):
        level_shift = _beyond_usual(observed, found, least)
        if level_shift is None:
            continue
        shift = _change_point(observed, level_shift)
        is_over = shift.until is not None and shift.until <= request.window.start
        is_visible = not is_over and shift.onset < request.window.end
        has_enough = shift.counted >= _MIN_COUNT or (_is_total(shift.metric) and not shift.rose)
        if is_visible and has_enough and is_notable(shift.metric, shift.after, shift.before):
            yield shift


def _beyond_usual(observed: ObservedSignal, shift: LevelShift, least: float) -> LevelShift | None:
    """Return the change with the evidence that is left of it beside how far its total usually strays."""
    if observed.usual is None:
        return shift
    bounds = np.concatenate([np.zeros(1), np.cumsum(observed.timeline.hours)]) + observed.hours_before
    first, end = bounds[shift.first], bounds[-1 if shift.end is None else shift.end]
    rose = shift.away.value > shift.usual.value
    deviations, factor = observed.usual.deviation(float(first), float(end), rose=rose)
    evidence = min(shift.evidence, deviations**2)
    is_same_way = (deviations > 0) == rose
    return (
        replace(shift, evidence=evidence)
        if is_same_way and evidence >= least and is_notable(observed.metric, factor, 1.0)
        else None
    )


def _change_point(observed: ObservedSignal, shift: LevelShift) -> ChangePoint:
    timeline = observed.timeline
    after, before = _levels(observed.metric, shift)
    return ChangePoint(
        metric=observed.metric,
        slice=observed.slice,
        onset=timeline.starts[shift.first],
        earliest=timeline.starts[shift.first],
        latest=timeline.end_of(shift.within - 1),
        until=None if shift.end is None else timeline.starts[shift.end],
        after=after,
        before=before,
        counted=shift.away.mass if _is_total(observed.metric) else shift.away.weight,
        expected_per_hour=_expected_per_hour(observed, shift),
        exposure=_exposure(observed, shift),
        evidence=shift.evidence,
        comparable=_comparable(observed, shift),
    )


def _levels(metric: Metric, shift: LevelShift) -> tuple[float, float]:
    """Return the level after the change and the baseline, as in `ChangePoint`."""
    away, usual = shift.away.value, shift.usual.value
    if metric is Metric.LATENCY:
        return exp(away - usual), 1.0
    if _is_total(metric):
        return (away / usual if usual else 0.0), 1.0
    return away, usual


def _expected_per_hour(observed: ObservedSignal, shift: LevelShift) -> float:
    if not _is_total(observed.metric):
        return 0.0
    slots = slice(shift.first, shift.within)
    hours = float(observed.timeline.hours[slots].sum())
    return float(observed.signal.weight[slots].sum()) * shift.usual.value / hours


def _exposure(observed: ObservedSignal, shift: LevelShift) -> float:
    past = float(observed.signal.weight[: shift.first].sum())
    return shift.away.weight / past if _is_total(observed.metric) and past else 1.0


def _comparable(observed: ObservedSignal, shift: LevelShift) -> tuple[tuple[int, float], ...]:
    if observed.usual is None:
        return ()
    timeline = observed.timeline
    end = timeline.end if shift.end is None else timeline.starts[shift.end]
    return tuple(comparable_days(timeline.starts[shift.first], end, observed.since).items())


def _is_total(metric: Metric) -> bool:
    return metric in (Metric.VOLUME, Metric.COST)
