"""Whether a total is unlike the same hours of earlier days: what happens every night is no change. Pure."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np

from context_builder.exploration.onset import LevelShift
from context_builder.exploration.series.signal import Signal
from context_builder.exploration.series.timeline import HOUR, Timeline

_DAY = timedelta(days=1) / HOUR
_SATURDAY = 5
_MIN_RATIO = 1.25
"""To the most extreme of the earlier days: every day differs a little from all before it."""


def is_unlike_earlier_days(signal: Signal, timeline: Timeline, shift: LevelShift) -> bool:
    """Return whether a run of a total exceeds, or stays below, its clock hours on every earlier day.

    The signal counts against the day shape of all traffic, which is not that of each slice: a batch at night
    rises every night, and whoever works on weekdays falls silent on every weekend. Weekdays are compared with
    weekdays and weekends with weekends, where there are such.
    """
    bounds = np.array([0.0, *np.cumsum(timeline.hours)])
    totals = np.array([0.0, *np.cumsum(signal.mass)])
    last = len(bounds) - 1 if shift.end is None else shift.end
    start, end = bounds[shift.first], bounds[last]
    shortest, longest = math.ceil((end - start) / _DAY - 1e-9), math.floor(start / _DAY + 1e-9)
    days = np.arange(max(1, shortest), longest + 1)
    if not len(days):
        return True
    weekday = (timeline.starts[shift.first].weekday() - np.array([0, *days])) % 7
    alike = (weekday[1:] >= _SATURDAY) == (weekday[0] >= _SATURDAY)
    days = _DAY * (days[alike] if alike.any() else days)
    earlier = np.interp(end - days, bounds, totals) - np.interp(start - days, bounds, totals)
    now = totals[last] - totals[shift.first]
    if shift.away.value > shift.usual.value:
        return bool(now > _MIN_RATIO * earlier.max())
    return bool(_MIN_RATIO * now < earlier.min())
