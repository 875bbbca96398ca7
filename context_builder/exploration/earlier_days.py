"""Whether a total is unlike the same hours of earlier days: what happens every night is no change. Pure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from context_builder.exploration.onset import LevelShift
from context_builder.exploration.series.signal import Floats, Signal
from context_builder.exploration.series.timeline import Timeline

_HOURS = 24
_SATURDAY = 5
_MIN_RATIO = 1.25
"""To the most extreme of the earlier days: every day differs a little from all before it."""


def is_unlike_earlier_days(signal: Signal, timeline: Timeline, shift: LevelShift) -> bool:
    """Return whether a run of a total exceeds, or stays below, each of its hours on every earlier day.

    The signal counts against the day shape of all traffic, which is not that of each slice: a batch at night
    rises every night, and anyone who works on weekdays falls silent on every weekend. Hours of weekdays are
    compared with those of weekdays, and of weekends with those of weekends; hours without any are left out.
    """
    bounds = np.array([0.0, *np.cumsum(timeline.hours)])
    start, end = bounds[shift.first], bounds[-1 if shift.end is None else shift.end]
    rose = shift.away.value > shift.usual.value
    around = range(math.floor(start + 1e-9), math.ceil(end - 1e-9))
    within = range(math.ceil(start - 1e-9), math.floor(end + 1e-9))
    # Earlier days are known by the hour: of a rise all of its hours count, of silence those it fills.
    hours = around if rose else within or around
    hourly = _by_hour(signal, bounds)
    since = int(np.flatnonzero(hourly)[0]) if hourly.any() else 0
    extreme = np.max if rose else np.min
    earlier = {hour: _same_hours_before(timeline, hour, since, hours[0]) for hour in hours}
    compared = [hour for hour in hours if len(earlier[hour])]
    if not compared:
        return True
    now = float(hourly[compared].sum())
    usual = sum(float(extreme(hourly[earlier[hour]])) for hour in compared)
    return now > _MIN_RATIO * usual if rose else _MIN_RATIO * now < usual


def _by_hour(signal: Signal, bounds: Floats) -> Floats:
    """Return the mass of each hour; the last one may be shorter."""
    totals = np.array([0.0, *np.cumsum(signal.mass)])
    hours = np.arange(math.ceil(bounds[-1] - 1e-9) + 1, dtype=np.float64)
    by_hour: Floats = np.diff(np.interp(hours, bounds, totals))
    return by_hour


def _same_hours_before(timeline: Timeline, hour: int, since: int, first: int) -> npt.NDArray[np.int64]:
    """Return the same hours of the days of its kind from `since` until before `first`."""
    days = np.arange(1, hour // _HOURS + 1)
    earlier = hour - _HOURS * days
    day = (timeline.start.weekday() * _HOURS + timeline.start.hour + np.append(earlier, hour)) // _HOURS % 7
    alike = (day[:-1] >= _SATURDAY) == (day[-1] >= _SATURDAY)
    chosen: npt.NDArray[np.int64] = earlier[alike & (earlier >= since) & (earlier < first)]
    return chosen
