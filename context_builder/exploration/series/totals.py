"""The signals of totals, volume and cost, against what is usual of each slice. Pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np

from context_builder.exploration.series.signal import Distribution, Floats, Noise, Signal
from context_builder.exploration.series.slices import CellMask
from context_builder.exploration.series.timeline import FINE_SPAN, HOUR, Timeline
from context_builder.exploration.series.traffic import Cells
from context_builder.exploration.series.usual import ComparableHours, Usual

_DAY_HOURS = 24
_SMOOTHING = np.array([1.0, 2.0, 1.0]) / 4
_MIN_PROFILE = 0.05
"""Floor of the daily profile, since an hour without past requests may still have one."""
_MIN_HISTORY = timedelta(hours=24)
"""Minimum history before the last day for a daily profile."""
_MIN_COMPARABLE = 0.5
"""Share of the slots explored that must have comparable hours before, or the level alone is what is usual."""


class TotalSignals:
    """What is compared with what, for all slices of one history."""

    def __init__(self, traffic: Cells, timeline: Timeline) -> None:
        """Take the whole traffic, and the last part of its timeline as the one explored."""
        self.timeline = timeline
        self.traffic = traffic
        self._before = traffic.timeline.slots - timeline.slots
        self.hours_before = float(traffic.timeline.hours[: self._before].sum())
        self.since = known_since(traffic)
        self._hours = ComparableHours(traffic.timeline, round((self.since - traffic.timeline.start) / HOUR))
        self._profile = daily_profile(traffic)

    def counted(self, cells: Cells, chosen: CellMask, values: Floats) -> Floats | None:
        """Return a total by slot, in units of its mean of a request; None without any of it."""
        requests, total = cells.requests[chosen].sum(), values[chosen].sum()
        return cells.by_slot(values, chosen) * (requests / total) if total > 0 else None

    def signal(self, counted: Floats) -> tuple[Signal, Usual | None]:
        """Return a total against what is usual at each hour, or at all where there is too little history."""
        usual = self._hours.usual(counted)
        expected = self._hours.by_slot(usual, counted)[self._before :]
        explored = counted[self._before :]
        if float((expected > 0).mean()) < _MIN_COMPARABLE:
            return _against(self._profile[self._before :], explored), None
        return Signal.by_slot(
            Noise(Distribution.POISSON), expected, np.where(expected > 0, explored, 0.0)
        ), usual


def known_since(traffic: Cells) -> datetime:
    """Return the first whole hour of the log, which started within the first slot that has a request."""
    busy = np.flatnonzero(traffic.by_slot(traffic.requests))
    before = traffic.timeline.hours[: int(busy[0]) + 1] if len(busy) else traffic.timeline.hours
    return traffic.timeline.start + math.ceil(float(before.sum()) - 1e-9) * HOUR


def daily_profile(cells: Cells) -> Floats:
    """Return the expected traffic of each slot, in hours of average traffic.

    Estimated by hour of day from the days before the last one; flat if there is less than a day of them.
    Zero before the first request.
    """
    timeline, requests = cells.timeline, cells.by_slot(cells.requests)
    busy = np.flatnonzero(requests)
    if not len(busy):
        return np.zeros(timeline.slots)
    # The log started within the first slot that has a request.
    first = min(int(busy[0]) + 1, timeline.slots - 1)
    known = timeline.hours.copy()
    known[:first] = 0
    hour_of_day = np.array([start.hour for start in timeline.starts])
    past = np.array([start < timeline.end - FINE_SPAN for start in timeline.starts]) & (known > 0)
    if timeline.starts[first] > timeline.end - FINE_SPAN - _MIN_HISTORY:
        return known
    counted = np.bincount(hour_of_day[past], weights=requests[past], minlength=_DAY_HOURS)
    spent = np.bincount(hour_of_day[past], weights=known[past], minlength=_DAY_HOURS)
    rate = np.where(spent > 0, counted / np.maximum(spent, 1e-9), counted.sum() / max(spent.sum(), 1e-9))
    smooth = np.convolve(np.concatenate([rate[-1:], rate, rate[:1]]), _SMOOTHING, mode="valid")
    shape = smooth / max(float(smooth.mean()), 1e-9)
    profile: Floats = known * np.maximum(shape[hour_of_day], _MIN_PROFILE)
    return profile


def _against(profile: Floats, counted: Floats) -> Signal:
    """Return counts against a profile scaled to their total; changes are relative to it."""
    counted = np.where(profile > 0, counted, 0.0)
    scale = counted.sum() / profile.sum() if profile.sum() > 0 else 0.0
    return Signal.by_slot(Noise(Distribution.POISSON), profile * scale, counted)
