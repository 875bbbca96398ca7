"""What is usual of a total: the same hours of earlier weeks and days, and by how much they missed. Pure.

An hour is compared with that hour of earlier weeks, helped out by that hour of earlier days of its kind
(weekday or weekend). What this would have said of each earlier hour shows how far a total strays when nothing
happens: a batch at night, a quiet weekend and a customer who sends in bursts are no changes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt

from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.timeline import FINE_SLOT, HOUR, Timeline

Places = npt.NDArray[np.int64]

_DAY = 24
_WEEK = 7 * _DAY
_SATURDAY = 5
_MAX_WEEKS = 5
_MAX_DAYS = 14
_DAYS_COUNT = 1.0
"""How many weeks the mean of earlier days of the same kind counts for, less the more weeks are known."""
_LEAST = 0.5
"""Added to a count before its logarithm; of hours in which nothing was ever seen, expected together."""
_SHARE_PRIOR = 6.0
"""Of the ten minutes of an hour: how many requests an even spread counts for."""
_MIN_COMPARED = 2
"""Hours from which the noise is told, where there are as many."""
_MIN_PLACEMENTS = 8
"""Runs of one length that earlier time must hold to tell how far such runs stray."""
_NOISE_UNKNOWN = 0.5
"""Standard deviation of a logarithm that is assumed where no earlier hour could be compared."""
_NORMAL_QUANTILES = ((0.5, 0.674), (0.9, 1.645), (0.95, 1.96))
"""Quantiles of the absolute value of a standard normal variable; the rest may be past incidents."""


@dataclass(frozen=True)
class Usual:
    """What a total has been by hour, and what it was expected to be from the hours before."""

    start: datetime
    """Of the timeline."""
    bounds: Floats
    """Of the slots of the timeline, in hours from its start."""
    by_slot: Floats
    """Mass of each slot."""
    expected: Floats
    """Of each hour, and of the one after the last; NaN with nothing to compare."""
    is_alike: npt.NDArray[np.bool_]
    """Of each such hour: whether it is compared with hours of its kind of day."""
    compared: Floats
    """With how many hours."""

    def between(self, first: float, end: float) -> tuple[float, float]:
        """Return the mass of some hours, and that expected."""
        return self._mass(first, end), _between(self._expected, first, end)

    def deviation(self, first: float, end: float, *, rose: bool) -> tuple[float, float]:
        """Return how many standard deviations a run [first, end) in hours strays, and by which factor.

        Earlier days are known by the hour: a rise is judged by all it touches, a fall by those it fills.
        Bills and reports are due at the end of each month, so that day a month ago counts as well.
        Compared with the most alike of the hours expected then, an hour earlier and an hour later: clocks are
        changed, and people begin their day a little earlier or later.
        """
        first, end = self._whole_hours(first, end, outwards=rose)
        mass = self._mass(first, end)
        sums = self._expected if rose else self._expected_at_least
        expected = [_between(sums, first + by, end + by) for by in (-1, 0, 1) if first + by >= 0]
        usual = max(expected) if rose else min(expected)
        if (monthly := self._month_before(first, end)) is not None:
            usual = max(usual, monthly) if rose else min(usual, monthly)
        stray = math.log((mass + _LEAST) / (usual + _LEAST))
        noise = math.hypot(self._noise(first, end), 1 / math.sqrt(usual + 1))
        return stray / noise, (mass + _LEAST) / (usual + _LEAST)

    def _month_before(self, first: float, end: float) -> float | None:
        """Return the mass of the same hours a month ago, at its end if this is one; None if unknown."""
        day = (self.start + timedelta(hours=first)).date()
        last_of_month = day.replace(day=1) - timedelta(days=1)
        is_last = (day + timedelta(days=1)).day == 1
        then = last_of_month if is_last else last_of_month.replace(day=min(day.day, last_of_month.day))
        hours = 24.0 * (day - then).days
        known = np.flatnonzero(self.compared > 0)
        if end - first > _DAY or not len(known) or first - hours < known[0] - _DAY:
            return None
        return self._mass(first - hours, end - hours)

    def _whole_hours(self, first: float, end: float, *, outwards: bool) -> tuple[float, float]:
        if outwards:
            return float(math.floor(first + 1e-9)), end
        is_over = end < self.bounds[-1] - 1e-9
        late = float(math.ceil(first - 1e-9)), float(math.floor(end + 1e-9)) if is_over else end
        return late if late[1] - late[0] >= 1 else (first, end)

    def _mass(self, first: float, end: float) -> float:
        early, late = np.interp((first, end), self.bounds, _sums(self.by_slot))
        return float(late - early)

    @cached_property
    def _hourly(self) -> Floats:
        """Mass of each hour, as if the last one went on as it began."""
        hours = np.arange(len(self.expected), dtype=np.float64)
        by_hour = np.diff(np.interp(hours, self.bounds, _sums(self.by_slot)))
        by_hour[-1] /= self.bounds[-1] - (len(by_hour) - 1)
        return np.append(by_hour, by_hour[-1])

    @cached_property
    def _expected(self) -> Floats:
        """Sums of what was expected: of an hour with nothing to compare, what came."""
        return _sums(np.where(np.isnan(self.expected), self._hourly, self.expected))

    @cached_property
    def _expected_at_least(self) -> Floats:
        """The same for falls: on the first weekend of a history nobody is missed."""
        return _sums(
            np.where(
                self.is_alike,
                self.expected,
                np.minimum(self._hourly, np.nan_to_num(self.expected, nan=np.inf)),
            )
        )

    def _noise(self, first: float, end: float) -> float:
        """Return the standard deviation of the logarithm of actual over expected, of runs of this length."""
        last = math.floor(first + 1e-9)
        known = self.is_alike[:last] & (self.compared[:last] >= _MIN_COMPARED)
        if known.sum() < _MIN_PLACEMENTS:
            known = self.is_alike[:last]
        if known.sum() < _MIN_PLACEMENTS:
            return _NOISE_UNKNOWN
        length = max(1, min(round(end - first), int(known.sum()) // _MIN_PLACEMENTS))
        # Runs of hours that can be judged, even where others lie between them.
        by_hour = np.array([self._hourly[:last][known], np.diff(self._expected)[:last][known]])
        sums = np.concatenate([np.zeros((2, 1)), np.cumsum(by_hour, axis=1)], axis=1)
        mass, expected = sums[:, length:] - sums[:, :-length]
        strays = np.abs(np.log((mass + _LEAST) / (expected + _LEAST)))
        # Of every request expected, not of every hour: a few requests stray far, whatever a thousand do.
        order = np.argsort(strays)
        share = np.cumsum(expected[order]) / max(float(expected.sum()), 1e-9)
        return max(
            float(strays[order][min(int(np.searchsorted(share, quantile)), len(order) - 1)]) / normal
            for quantile, normal in _NORMAL_QUANTILES
        )


class ComparableHours:
    """Which earlier hours each hour of a timeline is compared with."""

    def __init__(self, timeline: Timeline, since: int) -> None:
        """Take hours from `since` on as known."""
        self._timeline = timeline
        self._bounds = timeline.bounds
        self._hours = math.ceil(float(self._bounds[-1]) - 1e-9)
        hours = np.arange(self._hours + 1)
        weeks = _earlier(hours, _WEEK * np.arange(1, _MAX_WEEKS + 1), since)
        days = _earlier(hours, _DAY * np.arange(1, _MAX_DAYS + 1), since)
        day = (timeline.start.weekday() * _DAY + timeline.start.hour + hours) // _DAY % 7
        alike = (day[days] >= _SATURDAY) == (day >= _SATURDAY)[:, None]
        self._alike = ((alike & (days >= 0)).any(axis=1)) | (weeks >= 0).any(axis=1)
        self._weeks = _Compared(weeks)
        self._days = _Compared(np.where(alike | ~self._alike[:, None], days, -1))
        self._slots = np.minimum(np.floor(self._bounds[:-1] + 1e-9).astype(np.int64), self._hours - 1)
        self._fine = np.array([start >= timeline.fine_start for start in timeline.starts])
        self._parts = round(HOUR / FINE_SLOT)
        self._part = np.array([start.minute // (60 // self._parts) for start in timeline.starts])

    def usual(self, by_slot: Floats) -> Usual:
        """Return what is usual of a total, given by slot of the timeline."""
        hours = np.arange(self._hours + 2, dtype=np.float64)
        hourly: Floats = np.diff(np.interp(hours, self._bounds, _sums(by_slot)))
        weeks, of_weeks = self._weeks.mean(hourly), self._weeks.number
        days, of_days = self._days.mean(hourly), self._days.number
        weight = np.where(of_days > 0, _DAYS_COUNT / np.maximum(1, of_weeks), 0.0)
        total = of_weeks + weight
        with np.errstate(invalid="ignore"):
            expected = (weeks * of_weeks + days * weight) / total
        expected = np.maximum(expected, _LEAST / np.maximum(1, of_weeks + of_days))
        return Usual(self._timeline.start, self._bounds, by_slot, expected, self._alike, of_weeks + of_days)

    def by_slot(self, usual: Usual, by_slot: Floats) -> Floats:
        """Return the expectation of each slot; 0 where nothing is comparable.

        Clients on a schedule send in some minutes of each hour: an hour is spread over its ten minutes as the
        counts of the last day are.
        """
        fine, part, parts = self._fine, self._part, self._parts
        counted = np.bincount(part[fine], weights=by_slot[fine], minlength=parts) + _SHARE_PRIOR / parts
        share = np.where(fine, parts * counted[part] / counted.sum(), 1.0)
        expected: Floats = np.nan_to_num(usual.expected[self._slots]) * share * self._timeline.hours
        return expected


def comparable_days(first: datetime, end: datetime, since: datetime) -> dict[int, float]:
    """Return how many days before a span its hours are comparable, with weights as for single hours.

    The weights add up to 1; empty if no such hours are known, which is from `since` on.
    """
    length = (end - first) / timedelta(days=1)
    known = [
        days
        for days in range(max(1, math.ceil(length)), 7 * _MAX_WEEKS + 1)
        if first - timedelta(days=days) >= since
    ]
    weeks = [days for days in known if days % 7 == 0]
    near = [days for days in known if days <= _MAX_DAYS] if length <= 1 else []
    of_kind = [days for days in near if _is_weekend(first - timedelta(days=days)) == _is_weekend(first)]
    days = of_kind or ([] if weeks else near or known[:1])
    share = _DAYS_COUNT / max(1, len(weeks)) if days else 0.0
    weight: defaultdict[int, float] = defaultdict(float)
    for one in weeks:
        weight[one] += 1 / (len(weeks) + share)
    for one in days:
        weight[one] += share / (len(weeks) + share) / len(days)
    return dict(weight)


def _is_weekend(moment: datetime) -> bool:
    return moment.weekday() >= _SATURDAY


def _earlier(hours: Places, shifts: Places, since: int) -> Places:
    """Return each hour's earlier ones; -1 for those that are not known."""
    earlier = hours[:, None] - shifts[None, :]
    return np.where(earlier >= since, earlier, -1)


class _Compared:
    """The earlier hours of each hour."""

    def __init__(self, places: Places) -> None:
        known = places >= 0
        self.number: Floats = known.sum(axis=1).astype(np.float64)
        self._places = np.where(known, places, -1)

    def mean(self, hourly: Floats) -> Floats:
        """Return the mean over the known hours."""
        # What is not known is the last place, of nothing.
        total = np.append(hourly, 0.0)[self._places].sum(axis=1)
        mean: Floats = total / np.maximum(self.number, 1.0)
        return mean


def _sums(values: Floats) -> Floats:
    return np.concatenate([np.zeros(1), np.cumsum(values)])


def _between(sums: Floats, first: float, end: float) -> float:
    hours = np.arange(len(sums))
    early, late = np.interp((first, end), hours, sums)
    return float(late - early)
