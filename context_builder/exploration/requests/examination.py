"""Examines the requests behind changes: whether others are sent, and whether failed ones are repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from context_builder.exploration.change_point import FAR_FUTURE, ChangePoint
from context_builder.exploration.requests.like_for_like import like_for_like
from context_builder.exploration.requests.request_sample import RequestSample, read_requests
from context_builder.exploration.requests.retries import Retries, find_retries
from context_builder.exploration.series.metric import Metric, is_notable
from context_builder.exploration.series.timeline import HOUR
from context_builder.exploration.series.usual import comparable_days
from context_builder.question.request import ContextRequest, Window
from context_builder.rollups.store import Rollups

MAX_EXAMINED = 3
"""Changes of each kind whose requests are read, the most relevant first."""
_MAX_EXCESS = 2.0
"""Of the retries: a rise by more is not only theirs."""


async def with_mix(
    rollups: Rollups, request: ContextRequest, shifts: Sequence[ChangePoint], lookback: timedelta
) -> list[ChangePoint]:
    """Return the changes, those of latency and cost with the comparison of like requests."""
    found = list(shifts)
    places = [n for n, one in enumerate(found) if one.metric in (Metric.LATENCY, Metric.COST)]
    for place in places[:MAX_EXAMINED]:
        shift = found[place]
        samples = await _samples(rollups, request, shift, lookback)
        if samples is not None:
            mix = await asyncio.to_thread(like_for_like, shift.metric, *samples)
            found[place] = replace(shift, mix=mix)
    return found


async def with_retries(
    rollups: Rollups,
    request: ContextRequest,
    shifts: Sequence[ChangePoint],
    lookback: timedelta,
    known_since: datetime,
) -> list[ChangePoint]:
    """Return the changes, with a rise of volume for failures that are repeated often enough to make one.

    It takes the place of rises of the same requests at that time: noise blurs their beginning, and failures
    show it exactly.
    """
    found = list(shifts)
    rises = [one for one in found if one.metric is Metric.ERRORS and one.rose]
    for failures in rises[:MAX_EXAMINED]:
        samples = await _samples(rollups, request, failures, lookback)
        retries = await asyncio.to_thread(find_retries, *samples) if samples is not None else None
        if samples is None or retries is None:
            continue
        counted = float(len(samples[0])) if samples[0].complete else failures.counted
        rise = _rise(failures, retries, counted, request, known_since)
        if not is_notable(Metric.VOLUME, rise.after, rise.before):
            continue
        same = [one for one in found if _is_same(one, rise)]
        place = found.index(same[0] if same else failures) + (not same)
        found.insert(place, rise)
        found = [one for one in found if one not in same]
    return found


def _rise(
    failures: ChangePoint, retries: Retries, counted: float, request: ContextRequest, known_since: datetime
) -> ChangePoint:
    """Return the rise of volume that retries make, as against the requests without them."""
    end = min(failures.until or request.window.end, request.window.end)
    expected = counted / retries.factor
    return replace(
        failures,
        metric=Metric.VOLUME,
        after=retries.factor,
        before=1.0,
        counted=counted,
        expected=expected,
        expected_per_hour=expected / max((end - failures.onset) / HOUR, 1 / 60),
        comparable=tuple(comparable_days(failures.onset, end, known_since).items()),
        level_now=None,
        rhythm=None,
        retries=retries,
    )


def _is_same(shift: ChangePoint, rise: ChangePoint) -> bool:
    """Return whether a change is the rise that retries make, blurred by noise."""
    if shift.metric is not Metric.VOLUME or not shift.rose:
        return False
    overlap = shift.onset < (rise.until or FAR_FUTURE) and rise.onset < (shift.until or FAR_FUTURE)
    nested = shift.slice.contains(rise.slice) or rise.slice.contains(shift.slice) or rise.slice in shift.also
    return overlap and nested and shift.excess <= _MAX_EXCESS * rise.excess


async def _samples(
    rollups: Rollups, request: ContextRequest, shift: ChangePoint, lookback: timedelta
) -> tuple[RequestSample, RequestSample] | None:
    """Load requests of the slice of a change, after its onset and before; None if either is empty."""
    end = min(shift.until or request.window.end, request.window.end)
    spans = Window(shift.onset, end), Window(shift.onset - lookback, shift.onset)
    found = [await read_requests(rollups, request, shift.slice, span) for span in spans]
    after, before = found
    return (after, before) if after and before else None
