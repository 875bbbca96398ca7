"""Recognises days on which other traffic was to be expected: a day off, the end of a month. Pure.

On a day off several customers send on a weekday what they send on weekends. An outage that keeps customers
away leaves no such level, or begins in the middle of their day.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.slices import mask_of
from context_builder.exploration.series.timeline import HOUR, Timeline
from context_builder.exploration.series.traffic import Cells

AS_ON_A_WEEKEND = "as on a weekend"
MIN_USERS = 2
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_SATURDAY = 5
_MAX_WEEKS = 4
_MIN_EXPECTED = 3.0
"""Requests of a weekend, so that none at all is not taken for one."""
_WEEKEND_SHARE = 0.7
"""Of what is usual on that weekday, below which a weekend can be told from it."""
_TOLERANCE = math.log(1.5)
_DEVIATIONS = 2.0
_FACTOR_PRIOR = 10.0
"""Requests for which a factor of one counts."""
_QUIET = 0.35
"""Of the busiest hour of a day: what is usual in the hour in which a day off begins."""


@dataclass(frozen=True, slots=True)
class _User:
    """The requests of one user, or of several together."""

    timeline: Timeline
    by_slot: Floats

    def between(self, first: datetime, end: datetime) -> float:
        sums = np.concatenate([[0.0], np.cumsum(self.by_slot)])
        early, late = (
            np.interp((at - self.timeline.start) / HOUR, self.timeline.bounds, sums) for at in (first, end)
        )
        return float(late - early)

    def mean(self, starts: Sequence[datetime], length: timedelta) -> float:
        return sum(self.between(at, at + length) for at in starts) / len(starts)


def known_as(shift: ChangePoint, users: Cells, since: datetime) -> str:
    """Return as which day the traffic of a change was to be expected, in words; empty if as none.

    `since` is when the history begins.
    """
    if not shift.metric.is_total:
        return ""
    first, end = shift.onset, min(shift.until or users.timeline.end, shift.onset + _DAY)
    before = _weeks_before(first - _WEEK, since)
    of_users = [
        _User(users.timeline, users.by_slot(users.requests, mask_of(users, one)))
        for one in (shift.slice, *shift.also)
        if one.value_of("user")
    ]
    if not before or not of_users:
        return ""
    if not shift.rose:
        return AS_ON_A_WEEKEND if _is_day_off(shift, of_users, (first, end), before, since) else ""
    then = _month_before(first)
    is_again = then >= since and _was_alike(_together(of_users), (first, end), before, then)
    return f"as a month before, on {then:%Y-%m-%d}" if is_again else ""


def _is_day_off(
    shift: ChangePoint,
    fell: Sequence[_User],
    span: tuple[datetime, datetime],
    before: Sequence[datetime],
    since: datetime,
) -> bool:
    """Return whether several users send what they send on weekends, from a quiet hour on.

    Zones are not known: the day is compared from the onset on with the one that began at the same time of a
    Saturday, which is a weekend in all of them.
    """
    first, length = span[0], span[1] - span[0]
    saturdays = _weeks_before(first - (first.weekday() - _SATURDAY) % 7 * _DAY, since)
    if first.weekday() >= _SATURDAY or not saturdays:
        return False

    def is_as_on_a_weekend(one: _User) -> bool:
        counted = one.between(*span)
        weekend, weekday = one.mean(saturdays, length), one.mean(before, length)
        if not _MIN_EXPECTED <= weekend <= _WEEKEND_SHARE * weekday:
            return False
        stray = abs(math.log((counted + 0.5) / (weekend + 0.5)))
        return stray <= _allowed(weekend)

    if sum(map(is_as_on_a_weekend, fell)) < MIN_USERS:
        return False
    whole, start = _together(fell), shift.earliest.replace(minute=0) - shift.onset
    hours = [whole.mean([at + start + n * HOUR for at in before], HOUR) for n in range(round(_DAY / HOUR))]
    return is_as_on_a_weekend(whole) and hours[0] <= _QUIET * max(hours)


def _was_alike(
    rose: _User, span: tuple[datetime, datetime], before: Sequence[datetime], then: datetime
) -> bool:
    """Return whether requests rose by about that factor a month before too, above the weeks after that."""
    length = span[1] - span[0]
    after = [at for week in range(1, _MAX_WEEKS) if (at := then + week * _WEEK) + length < span[0]]
    if not after:
        return False
    usual = rose.mean(after, length)
    factor, was = (
        (counted + _FACTOR_PRIOR) / (of_weeks + _FACTOR_PRIOR)
        for counted, of_weeks in (
            (rose.between(*span), rose.mean(before, length)),
            (rose.between(then, then + length), usual),
        )
    )
    return was >= math.exp(_TOLERANCE) and math.log(factor / was) <= _allowed(usual)


def _allowed(usual: float) -> float:
    """Return how far a logarithm may stray from that of so many requests."""
    return math.hypot(_TOLERANCE, _DEVIATIONS / math.sqrt(usual + 1))


def _together(users: Sequence[_User]) -> _User:
    return replace(users[0], by_slot=np.sum([one.by_slot for one in users], axis=0))


def _month_before(moment: datetime) -> datetime:
    """Return the same day of the month before; the last one of the last."""
    last = moment.replace(day=1) - _DAY
    is_last = (moment + _DAY).day == 1
    return last if is_last else last.replace(day=min(moment.day, last.day))


def _weeks_before(moment: datetime, since: datetime) -> list[datetime]:
    """Return a moment and the same of the weeks before it, as far as they are known."""
    return [at for week in range(_MAX_WEEKS) if (at := moment - week * _WEEK) >= since]
