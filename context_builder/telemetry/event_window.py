"""Which span of the operational history a question is about, and how near to its onset an event is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.request import ContextRequest
from context_builder.text.formatting import format_duration, format_time

EVENT_LOOKBACK = timedelta(hours=24)
"""How far back events are looked for at the least."""
_HALF_PROXIMITY = timedelta(hours=6)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EventWindow:
    """A half-open span, [since, until)."""

    since: datetime
    until: datetime

    def holds(self, column: InstrumentedAttribute[datetime]) -> ColumnElement[bool]:
        """Whether a row's time lies within."""
        return and_(column >= self.since, column < self.until)

    def __str__(self) -> str:
        return f"from {format_time(self.since)} to {format_time(self.until)}"


def in_question_window(request: ContextRequest) -> EventWindow:
    """The window."""
    return EventWindow(request.window.start, _end(request))


def before_window(request: ContextRequest) -> EventWindow:
    """The REACH before the window."""
    return EventWindow(request.window.start - EVENT_LOOKBACK, request.window.start)


def recent_window(request: ContextRequest) -> EventWindow:
    """The window, and at least the REACH before its end."""
    return EventWindow(min(request.window.start, request.window.end - EVENT_LOOKBACK), _end(request))


def causal_window(request: ContextRequest) -> EventWindow:
    """The window and the REACH before it: what caused something came earlier."""
    return EventWindow(request.window.start - EVENT_LOOKBACK, _end(request))


def _end(request: ContextRequest) -> datetime:
    """What happened at `as_of` has happened; what is later has not."""
    return min(request.window.end, request.as_of + _TICK)


def proximity(value: datetime, other: datetime) -> float:
    """1 at the same moment, a half six hours away, then less and less."""
    return 1 / (1 + abs(value - other) / _HALF_PROXIMITY)


def offset_text(value: datetime, onset: datetime | None) -> str:
    """`, 12 min before the onset`; empty without an onset."""
    if onset is None:
        return ""
    if value == onset:
        return ", at the onset"
    return f", {format_duration(abs(value - onset))} {'before' if value < onset else 'after'} the onset"


def onset_text(onset: datetime | None) -> str:
    """The part of a header that says when the onset was; empty without one."""
    return f"; the onset was {format_time(onset)}" if onset else ""


def period_text(first: datetime, last: datetime) -> str:
    """`at 2026-03-10 11:00`, or between which moments."""
    if format_time(first) == format_time(last):
        return f"at {format_time(first)}"
    return f"between {format_time(first)} and {format_time(last)}"
