"""Time spans of the operational events for a question, and the distance of an event from the onset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.request import ContextRequest
from context_builder.text.formatting import format_duration, format_time

EVENT_LOOKBACK = timedelta(hours=24)
"""Minimum time before a window in which events are read."""
_HALF_PROXIMITY = timedelta(hours=6)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EventWindow:
    """A half-open span, [since, until)."""

    since: datetime
    until: datetime

    def contains(self, column: InstrumentedAttribute[datetime]) -> ColumnElement[bool]:
        """Select rows whose time is in the span."""
        return and_(column >= self.since, column < self.until)

    def __str__(self) -> str:
        return f"from {format_time(self.since)} to {format_time(self.until)}"


def in_question_window(request: ContextRequest) -> EventWindow:
    """Return the question's window."""
    return EventWindow(request.window.start, _end(request))


def before_window(request: ContextRequest) -> EventWindow:
    """Return the EVENT_LOOKBACK before the window."""
    return EventWindow(request.window.start - EVENT_LOOKBACK, request.window.start)


def recent_window(request: ContextRequest) -> EventWindow:
    """Return the window, extended to at least the EVENT_LOOKBACK before its end."""
    return EventWindow(min(request.window.start, request.window.end - EVENT_LOOKBACK), _end(request))


def causal_window(request: ContextRequest, onset: datetime | None = None) -> EventWindow:
    """Return the window and the EVENT_LOOKBACK before it or an earlier onset: causes precede effects."""
    begin = min(request.window.start, onset or request.window.start)
    return EventWindow(begin - EVENT_LOOKBACK, _end(request))


def _end(request: ContextRequest) -> datetime:
    """Return the exclusive end, which includes events at `as_of` itself but none after it."""
    return min(request.window.end, request.as_of + _TICK)


def proximity(value: datetime, other: datetime) -> float:
    """Return 1 for equal times, 0.5 for times six hours apart, falling towards 0."""
    return 1 / (1 + abs(value - other) / _HALF_PROXIMITY)


def offset_text(value: datetime, onset: datetime | None) -> str:
    """Return `, 12 min before the onset`, or an empty string without an onset."""
    if onset is None:
        return ""
    if value == onset:
        return ", at the onset"
    return f", {format_duration(abs(value - onset))} {'before' if value < onset else 'after'} the onset"


def onset_text(onset: datetime | None) -> str:
    """Return the onset for a section header, or an empty string without one."""
    return f"; the onset was {format_time(onset)}" if onset else ""


def period_text(first: datetime, last: datetime) -> str:
    """Return `at 2026-03-10 11:00`, or `between ... and ...` if the minutes differ."""
    if format_time(first) == format_time(last):
        return f"at {format_time(first)}"
    return f"between {format_time(first)} and {format_time(last)}"
