"""Examines the requests behind changes: whether others are sent, and whether failed ones are repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from context_builder.exploration.change_point import FAR_FUTURE, ChangePoint
from context_builder.exploration.requests.like_for_like import LikeForLike, like_for_like
from context_builder.exploration.requests.request_sample import (
    MIX_COLUMNS,
    RETRY_COLUMNS,
    Columns,
    RequestSample,
    read_requests,
)
from context_builder.exploration.requests.retries import find_retries, may_have_retries
from context_builder.exploration.series.metric import Metric, is_notable
from context_builder.exploration.series.slices import Slice
from context_builder.exploration.series.timeline import HOUR
from context_builder.exploration.series.usual import comparable_days
from context_builder.question.request import ContextRequest, Window
from context_builder.rollups.store import Rollups
from context_builder.shared_work import SharedWork

MAX_EXAMINED = 3
"""Changes of each kind whose requests are read, the most relevant first."""
_MAX_EXCESS = 2.0
"""Of the retries: a rise by more is not only theirs."""


class Examination:
    """What the requests behind the changes of one scope show, examined once for all who ask."""

    def __init__(
        self,
        rollups: Rollups,
        request: ContextRequest,
        work: SharedWork,
        *,
        lookback: timedelta,
        known_since: datetime,
    ) -> None:
        """Compare with requests from `lookback` before a change; the log is known from `known_since` on."""
        self._rollups = rollups
        self._request = request
        self._work = work
        self._lookback = lookback
        self._known_since = known_since

    async def with_mix(self, shifts: Sequence[ChangePoint]) -> list[ChangePoint]:
        """Return the changes, those of latency and cost with the comparison of like requests."""
        found = list(shifts)
        places = [n for n, one in enumerate(found) if one.metric in (Metric.LATENCY, Metric.COST)]
        for place in places[:MAX_EXAMINED]:
            shift = found[place]
            key = ("mix", self._request, shift)
            found[place] = replace(shift, mix=await self._work.result(key, partial(self._mix, shift)))
        return found

    async def with_retries(self, shifts: Sequence[ChangePoint]) -> list[ChangePoint]:
        """Return the changes, with a rise of volume for failures repeated often enough to make one.

        It takes the place of rises of the same requests at that time: noise blurs their beginning, and
        failures show it exactly.
        """
        found = list(shifts)
        rises = [one for one in found if one.metric is Metric.ERRORS and one.rose]
        for failures in rises[:MAX_EXAMINED]:
            rise = await self._work.result(
                ("retries", self._request, failures), partial(self._rise, failures)
            )
            if rise is None:
                continue
            same = [one for one in found if _is_same(one, rise)]
            place = found.index(same[0] if same else failures) + (not same)
            found.insert(place, rise)
            found = [one for one in found if one not in same]
        return found

    async def _mix(self, shift: ChangePoint) -> LikeForLike | None:
        after = await self._since(shift, MIX_COLUMNS)
        before = await self._before(shift, MIX_COLUMNS) if after else None
        if not after or not before:
            return None
        return await asyncio.to_thread(like_for_like, shift.metric, after, before)

    async def _rise(self, failures: ChangePoint) -> ChangePoint | None:
        """Return the rise of volume that retries make, as against the requests without them, if notable."""
        after = await self._since(failures, RETRY_COLUMNS)
        if not after or not await asyncio.to_thread(may_have_retries, after):
            return None
        before = await self._before(failures, RETRY_COLUMNS)
        retries = await asyncio.to_thread(find_retries, after, before) if before else None
        if retries is None or not is_notable(Metric.VOLUME, retries.factor, 1.0):
            return None
        end = min(failures.until or self._request.window.end, self._request.window.end)
        counted = float(len(after)) if after.complete else failures.counted
        expected = counted / retries.factor
        return replace(
            failures,
            metric=Metric.VOLUME,
            after=retries.factor,
            before=1.0,
            counted=counted,
            expected=expected,
            expected_per_hour=expected / max((end - failures.onset) / HOUR, 1 / 60),
            comparable=tuple(comparable_days(failures.onset, end, self._known_since).items()),
            level_now=None,
            rhythm=None,
            retries=retries,
        )

    async def _since(self, shift: ChangePoint, columns: Columns) -> RequestSample | None:
        """Load requests of the slice of a change since its onset."""
        end = min(shift.until or self._request.window.end, self._request.window.end)
        return await self._read(shift.slice, Window(shift.onset, end), columns)

    async def _before(self, shift: ChangePoint, columns: Columns) -> RequestSample | None:
        """Load requests of the slice of a change before its onset."""
        return await self._read(shift.slice, Window(shift.onset - self._lookback, shift.onset), columns)

    async def _read(self, one: Slice, span: Window, columns: Columns) -> RequestSample | None:
        return await read_requests(self._rollups, self._request, one, span, columns)


def _is_same(shift: ChangePoint, rise: ChangePoint) -> bool:
    """Return whether a change is the rise that retries make, blurred by noise."""
    if shift.metric is not Metric.VOLUME or not shift.rose:
        return False
    overlap = shift.onset < (rise.until or FAR_FUTURE) and rise.onset < (shift.until or FAR_FUTURE)
    nested = shift.slice.contains(rise.slice) or rise.slice.contains(shift.slice) or rise.slice in shift.also
    return overlap and nested and shift.excess <= _MAX_EXCESS * rise.excess
