"""Which buckets cover a span of time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from context_builder.question.request import Window
from models import Resolution

MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive buckets of one resolution, [start, end)."""

    resolution: Resolution
    start: datetime
    end: datetime


def covering(window: Window) -> list[Span]:
    """Return the buckets that exactly cover a window: whole hours, and minutes at either end."""
    first = window.start.replace(minute=0)
    first += timedelta(hours=first < window.start)
    last = window.end.replace(minute=0)
    if first >= last:
        return by_minute(window)
    spans = [
        Span(Resolution.HOUR, first, last),
        Span(Resolution.MINUTE, window.start, first),
        Span(Resolution.MINUTE, last, window.end),
    ]
    return [span for span in spans if span.start < span.end]


def by_minute(window: Window) -> list[Span]:
    """Return the minutes of a window."""
    return [Span(Resolution.MINUTE, window.start, window.end)] if window.start < window.end else []


def by_hour(start: datetime, end: datetime) -> list[Span]:
    """Return the hours that start in [start, end)."""
    return [Span(Resolution.HOUR, start, end)] if start < end else []


def by_ten_minutes(window: Window) -> list[Span]:
    """Return the ten minutes of a window that starts with one, and the minutes of a last part of one."""
    last = window.end.replace(minute=window.end.minute - window.end.minute % 10)
    spans = [Span(Resolution.TEN_MINUTES, window.start, last), Span(Resolution.MINUTE, last, window.end)]
    return [span for span in spans if span.start < span.end]


def minute_of(moment: datetime) -> int:
    """Return a moment in whole minutes since 1970, as in the column `start`."""
    return (moment - _EPOCH) // MINUTE


def moment_of(minute: int) -> datetime:
    """Return the moment of a number of minutes since 1970."""
    return _EPOCH + int(minute) * MINUTE
