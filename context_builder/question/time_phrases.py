"""Finds the time window that a question names; phrases are relative to `as_of`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from re import Match

from context_builder.question.moments import (
    COUNT,
    DAY,
    MOMENT,
    UNIT,
    Span,
    duration_of,
    names_day,
    read_moment,
    subtract,
)
from context_builder.question.request import Window

DEFAULT_LENGTH = timedelta(hours=24)
MOMENT_MARGIN = timedelta(minutes=30)
"""A point in time such as "at 14:00" means the half hour on either side of it."""
MAX_PHRASES = 10
"""Phrases tried per pattern."""

MIN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Earliest start of a window."""

_MINUTE = timedelta(minutes=1)

SpanReader = Callable[[Match[str], datetime], Span | None]


def find_window(question: str, as_of: datetime) -> Window:
    """Return the window that the question names, else the DEFAULT_LENGTH before `as_of`.

    The window's origin names a phrase that is ambiguous, such as 12/11/2026, or not before `as_of`.
    """
    unread = None
    for phrase, span in _phrases(" ".join(question.split()), as_of):
        if span is not None:
            start, end = floor_to_minute(max(span[0], MIN_TIME)), floor_to_minute(min(span[1], as_of))
            if start < end:
                return Window(start, end, origin=f"“{phrase}” in the question")
        unread = unread or phrase
    reason = (
        f"“{unread}” is no clear time before the moment asked about"
        if unread
        else "the question names no time"
    )
    end = floor_to_minute(as_of)
    return Window(subtract(end, DEFAULT_LENGTH), end, f"the last 24 hours, since {reason}")


def floor_to_minute(moment: datetime) -> datetime:
    """Round down to the UTC minute, the resolution of rollups."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _phrases(question: str, as_of: datetime) -> Iterator[tuple[str, Span | None]]:
    for pattern, read in _RULES:
        for match in islice(pattern.finditer(question), MAX_PHRASES):
            yield match.group(), read(match, as_of)


def _ambiguous_date(_match: Match[str], _as_of: datetime) -> None:
    """Reject a date that may start with the day or the month."""


def _between(match: Match[str], as_of: datetime) -> Span | None:
    """Read from the start of the first to the end of the second; a day named by one applies to both."""
    first, last = match.groups()
    if last.casefold() == "now":
        return _from_start_of(first, as_of)
    start, end = _bounds(first, last, as_of)
    return (start[0], end[1]) if start and end and start[0] < end[1] else None


def _bounds(first: str, last: str, as_of: datetime) -> tuple[Span | None, Span | None]:
    if names_day(first) and not names_day(last):
        start = read_moment(first, as_of)
        # Not after as_of, so that the next day is within the range of datetime.
        return start, read_moment(last, start[0] + DAY) if start and start[0] <= as_of else None
    end = read_moment(last, as_of)
    return read_moment(first, end[0]) if end else None, end


def _since(match: Match[str], as_of: datetime) -> Span | None:
    return _from_start_of(match.group(1), as_of)


def _from_start_of(phrase: str, as_of: datetime) -> Span | None:
    span = read_moment(phrase, as_of)
    return (span[0], as_of) if span else None


def _before(match: Match[str], as_of: datetime) -> Span | None:
    span = read_moment(match.group(1), as_of)
    return (subtract(span[0], DEFAULT_LENGTH), span[0]) if span else None


def _up_to(match: Match[str], as_of: datetime) -> Span | None:
    """Read up to the end of the named time, as in "until Tuesday"."""
    span = read_moment(match.group(1), as_of)
    return (subtract(min(span[1], as_of), DEFAULT_LENGTH), span[1]) if span else None


def _at(match: Match[str], as_of: datetime) -> Span | None:
    span = read_moment(match.group(1), as_of)
    if span is None or span[0] != span[1]:
        return span
    return subtract(span[0], MOMENT_MARGIN), subtract(span[1], -MOMENT_MARGIN)


def _last(match: Match[str], as_of: datetime) -> Span:
    return subtract(as_of, max(duration_of(match.group(1)), _MINUTE)), as_of


def _rule(pattern: str, read: SpanReader) -> tuple[re.Pattern[str], SpanReader]:
    return re.compile(pattern, re.IGNORECASE | re.ASCII), read


_RULES: tuple[tuple[re.Pattern[str], SpanReader], ...] = (
    _rule(rf"\b(?:between |from )?({MOMENT}) ?(?:and|to|until|till|-|–) ?({MOMENT}|now\b)", _between),
    _rule(rf"\b(?:since|after|starting) (?:around |about )?({MOMENT})", _since),
    _rule(rf"\b(?:last|past|previous) ({COUNT} ?{UNIT})\b", _last),
    _rule(r"\b(?:last|past) (minute|hour|day)\b", _last),
    _rule(r"\bpast (week|month|year)\b", _last),
    _rule(rf"\bbefore (?:around |about )?({MOMENT})", _before),
    _rule(rf"\b(?:until|till|up to) (?:around |about )?({MOMENT})", _up_to),
    _rule(r"\b\d{1,2}/\d{1,2}/\d{2,4}\b|\b\d{1,2}\.\d{1,2}\.\d{4}\b", _ambiguous_date),
    _rule(rf"\b(?:(?:at|around|about|on|in|over|during) )?(?:the )?({MOMENT})", _at),
)
"""Most specific first; the first that yields a window wins."""
