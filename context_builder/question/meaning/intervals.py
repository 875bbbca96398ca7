"""Arithmetic on intervals of whole UTC minutes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from context_builder.question.request import Interval
from context_builder.question.times.bounds import MIN_TIME, floor_to_minute


def clipped(intervals: Iterable[Interval], as_of: datetime) -> tuple[Interval, ...]:
    """Return the parts from MIN_TIME to `as_of`, in whole minutes; empty ones are dropped."""
    bounds = (
        (floor_to_minute(max(i.start, MIN_TIME)), floor_to_minute(min(i.end, as_of))) for i in intervals
    )
    return tuple(Interval(start, end) for start, end in bounds if start < end)


def without(intervals: Sequence[Interval], gaps: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return what is left of intervals outside the gaps."""
    rest = list(intervals)
    for gap in gaps:
        rest = [
            part
            for i in rest
            for part in (Interval(i.start, min(i.end, gap.start)), Interval(max(i.start, gap.end), i.end))
            if part.start < part.end
        ]
    return tuple(rest)


def hull(intervals: Sequence[Interval]) -> Interval:
    """Return the interval from the first start to the last end."""
    return Interval(intervals[0].start, intervals[-1].end)


def length_of(intervals: Iterable[Interval]) -> timedelta:
    """Return the time in all intervals together."""
    return sum((i.end - i.start for i in intervals), timedelta())
