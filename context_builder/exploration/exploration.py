"""Explores the rollups for one question, once, and shares the findings between sources."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Self

from context_builder.deadlines import Deadlines
from context_builder.exploration.announced import with_announcements
from context_builder.exploration.change_point import (
    FAR_FUTURE,
    MAX_RELATED_ONSET_GAP,
    ChangePoint,
    onset_gap,
)
from context_builder.exploration.detection.search import find_change_points
from context_builder.exploration.refinement import refine_onset, with_rhythm
from context_builder.exploration.requests.examination import Examination
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.quality import quality_signals
from context_builder.exploration.series.timeline import Timeline
from context_builder.exploration.series.totals import known_since
from context_builder.exploration.series.traffic import read_traffic, read_users
from context_builder.exploration.traffic_change import apart
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
_ALIKE_FACTOR = 1.5
MAX_CHANGE_POINTS = 8
MAX_PER_METRIC = 3
_MIN_COUNT = 8
"""Minimum requests, dollars or scores since an onset, except for totals that fell."""


@dataclass(frozen=True, slots=True)
class ExplorationFindings:
    """The result of an exploration."""

    shifts: tuple[ChangePoint, ...]
    """Changes that are visible in the window; the metrics asked about first."""
    has_traffic: bool
    """True if there are requests in scope, in the window or before it."""
    gaps: tuple[str, ...]
    """Limits of the figures for the scope."""
    harmless: tuple[ChangePoint, ...] = ()
    """Changes that are nothing but other traffic and broke nothing; not among `shifts`."""


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
        """Return the findings; the work survives a caller's cancellation.

        Raises ValueError for a question that is confined to one user: findings are of all users.
        """
        if request.confined_to is not None:
            raise ValueError("an exploration compares all users, and is not for one who sees one user only")
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
        found, since = await self._work.result(("found", scope), lambda: self._find(scope))
        leading = _select(asked, found.shifts)
        wide = with_aftermath(scope)
        # The same changes matter to questions about several topics.
        shifts = [
            await self._work.result(("refined", wide, shift), partial(self._refine, wide, shift))
            for shift in leading
        ]
        examination = Examination(self._rollups, wide, self._work, lookback=LOOKBACK, known_since=since)
        shifts, harmless = apart(await examination.with_retries(await examination.with_mix(shifts)))
        return replace(found, shifts=tuple(shifts), harmless=tuple(harmless))

    async def _refine(self, wide: ContextRequest, shift: ChangePoint) -> ChangePoint:
        return await with_rhythm(self._rollups, wide, await refine_onset(self._rollups, wide, shift))

    async def _find(self, asked: ContextRequest) -> tuple[ExplorationFindings, datetime]:
        """Return every change in a scope, before topics select some, and from when on the log is known."""
        request = with_aftermath(asked)
        timeline, history = (Timeline.of(request.window, span) for span in (LOOKBACK, HISTORY))
        scope = await rollup_scope(self._rollups, request)
        traffic = await read_traffic(self._rollups, request, history)
        users = await read_users(self._rollups, request, history)
        quality = await quality_signals(self._rollups, request, timeline)
        # Thousands of comparisons, off the event loop.
        found = await asyncio.to_thread(find_change_points, asked, timeline, traffic, users, quality)
        found = await with_announcements(self._rollups, asked, found)
        findings = ExplorationFindings(tuple(found), bool(len(traffic.slot)), scope.gaps)
        return findings, known_since(traffic)


def _select(request: ContextRequest, shifts: Sequence[ChangePoint]) -> list[ChangePoint]:
    """Select gaps first, then metrics asked about, then by evidence; at most MAX_PER_METRIC of each metric.

    What was to be expected comes last.
    Cost that merely follows volume is kept only if cost is asked about, and never if requests stopped.
    """

    def order(shift: ChangePoint) -> tuple[bool, bool, bool, bool, float]:
        asked = shift.metric.topic in request.topics
        merely_cost = shift.metric is Metric.COST and not asked
        return not shift.is_gap, bool(shift.known_as), not asked, merely_cost, -shift.evidence

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
    return any(
        cost.rose == one.rose and (onset_gap(cost, one) <= MAX_RELATED_ONSET_GAP or _are_alike(cost, one))
        for one in volumes
    )


def _are_alike(cost: ChangePoint, volume: ChangePoint) -> bool:
    """Return whether cost changed by about the factor of a volume that changed at the same time."""
    overlap = cost.onset < (volume.until or FAR_FUTURE) and volume.onset < (cost.until or FAR_FUTURE)
    return overlap and volume.after / _ALIKE_FACTOR <= cost.after <= volume.after * _ALIKE_FACTOR


def _is_silence(cost: ChangePoint, volume: ChangePoint) -> bool:
    """Return whether cost fell only because requests of its slice, or of a larger one, stopped."""
    if cost.rose or volume.rose or volume.counted or onset_gap(cost, volume) > MAX_RELATED_ONSET_GAP:
        return False
    ends = cost.until or FAR_FUTURE, volume.until or FAR_FUTURE
    stopped = (volume.slice, *volume.also)
    return abs(ends[0] - ends[1]) <= MAX_RELATED_ONSET_GAP and any(
        one.contains(cost.slice) for one in stopped
    )
