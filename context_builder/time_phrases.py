"""Times in a question become one half-open UTC window; phrases are read relative to `as_of`."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from re import Match

import dateparser

from context_builder.request import Window

DEFAULT_LENGTH = timedelta(hours=24)
AROUND = timedelta(minutes=30)
"""A moment such as "at 14:00" stands for the half hour on both sides of it."""

_NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve"
_COUNTS = {word: number for number, word in enumerate(_NUMBER_WORDS.split(), start=1)} | {
    "a": 1, "an": 1, "couple of": 2, "a couple of": 2, "few": 3, "a few": 3,
}  # fmt: skip
_HOUR, _DAY = 3600, 86400
_UNITS = {
    "minute": 60, "min": 60, "hour": _HOUR, "hr": _HOUR, "h": _HOUR, "day": _DAY, "d": _DAY, "week": 7 * _DAY,
}  # fmt: skip
_COUNT = r"(\d{1,4}|" + "|".join(sorted(_COUNTS, key=len, reverse=True)) + ")"
_UNIT = r"(minute|min|hour|hr|h|day|d|week)s?"
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_MAX_WORDS = 6
"""Longest phrase that is handed to the date parser: `Tuesday 17 November 2026 14:00 UTC`."""

_parser_lock = threading.Lock()  # dateparser keeps its settings in shared objects

Span = tuple[datetime, datetime]
Read = Callable[[Match[str], datetime], Span | None]


def find_window(question: str, as_of: datetime) -> Window:
    """The window that the question names, else the DEFAULT_LENGTH before `as_of`.

    A phrase that lies after `as_of` names nothing that could be read; the window says so.
    """
    origin = "default, the question names no time"
    for pattern, read in _RULES:
        for match in pattern.finditer(question):
            span = read(match, as_of)
            if span is None:
                continue
            start, end = whole_minutes(span[0]), whole_minutes(min(span[1], as_of))
            phrase = " ".join(match.group().split())[:60].rstrip(" ?.,!")
            if start < end:
                return Window(start, end, origin=f"“{phrase}” in the question")
            origin = f"default, “{phrase}” is not before the moment asked about"
    end = whole_minutes(as_of)
    return Window(end - DEFAULT_LENGTH, end, origin)


def whole_minutes(moment: datetime) -> datetime:
    """The UTC minute that a moment lies in; rollups know no finer time."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def parse_moment(phrase: str, as_of: datetime) -> datetime | None:
    """The instant that a phrase names, UTC where it names no zone; None when it is not a time."""
    with _parser_lock:
        moment = dateparser.parse(
            phrase,
            languages=["en"],
            settings={
                "RELATIVE_BASE": as_of.astimezone(UTC).replace(tzinfo=None),
                "TIMEZONE": "UTC",
                "RETURN_AS_TIMEZONE_AWARE": True,
                "PREFER_DATES_FROM": "past",
            },
        )
    return None if moment is None else moment.astimezone(UTC)


def _leading_moment(text: str, as_of: datetime) -> datetime | None:
    """The moment named by the longest leading run of words that names one."""
    words = text.replace("?", " ").replace(",", " ").split()[:_MAX_WORDS]
    for count in range(len(words), 0, -1):
        phrase = " ".join(words[:count])
        if not re.match(rf"{_WEEKDAY}|today|yesterday|noon|midnight|this|last|.*\d", phrase, re.IGNORECASE):
            continue  # dateparser reads a bare `may` or `sat` as a date
        if phrase.lower() in ("today", "yesterday"):
            return _calendar_spans(as_of)[phrase.lower()][0]
        moment = parse_moment(phrase, as_of)
        if moment is not None:
            return moment
    return None


def _between(match: Match[str], as_of: datetime) -> Span | None:
    end = _leading_moment(match.group(2), as_of)
    # Read from the end: in "from 9:00 to 11:00 yesterday" the day belongs to both.
    start = _leading_moment(match.group(1), end) if end else None
    return (start, end) if start and end and start < end else None


def _since(match: Match[str], as_of: datetime) -> Span | None:
    start = _leading_moment(match.group(1), as_of)
    return (start, as_of) if start else None


def _before(match: Match[str], as_of: datetime) -> Span | None:
    end = _leading_moment(match.group(1), as_of)
    return (end - DEFAULT_LENGTH, end) if end else None


def _at(match: Match[str], as_of: datetime) -> Span | None:
    moment = _leading_moment(match.group(1), as_of)
    return (moment - AROUND, moment + AROUND) if moment else None


def _on_day(match: Match[str], as_of: datetime) -> Span | None:
    moment = parse_moment(match.group(1), as_of)
    return _day_of(moment) if moment else None


def _last(match: Match[str], as_of: datetime) -> Span:
    return as_of - _length(match.group(1) or "one", match.group(2)), as_of


def _ago(match: Match[str], as_of: datetime) -> Span:
    moment = as_of - _length(match.group(1), match.group(2))
    if _UNITS[match.group(2).lower()] >= _DAY:
        return _day_of(moment)
    return moment - AROUND, moment + AROUND


def _length(count: str, unit: str) -> timedelta:
    number = int(count) if count.isdigit() else _COUNTS[" ".join(count.lower().split())]
    return timedelta(seconds=number * _UNITS[unit.lower()])


def _day_of(moment: datetime) -> Span:
    start = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return start, start + timedelta(days=1)


def _calendar(match: Match[str], as_of: datetime) -> Span:
    return _calendar_spans(as_of)[" ".join(match.group(1).lower().split())]


def _calendar_spans(as_of: datetime) -> dict[str, Span]:
    """`today`, `yesterday`, `this week`, ... in UTC; weeks begin on Monday."""
    midnight, _ = _day_of(as_of)
    monday = midnight - timedelta(days=midnight.weekday())
    first = midnight.replace(day=1)
    last_first = (first - timedelta(days=1)).replace(day=1)
    return {
        "today": (midnight, as_of),
        "tonight": (midnight, as_of),
        "yesterday": (midnight - timedelta(days=1), midnight),
        "this hour": (as_of.astimezone(UTC).replace(minute=0), as_of),
        "this morning": (midnight, min(as_of, midnight + timedelta(hours=12))),
        "this week": (monday, as_of),
        "last week": (monday - timedelta(days=7), monday),
        "this month": (first, as_of),
        "last month": (last_first, first),
        "last night": (midnight - timedelta(hours=6), min(as_of, midnight + timedelta(hours=6))),
    }


def _rule(pattern: str, read: Read) -> tuple[re.Pattern[str], Read]:
    return re.compile(pattern, re.IGNORECASE), read


_RULES: tuple[tuple[re.Pattern[str], Read], ...] = (
    _rule(r"\b(?:between|from)\s+(.{3,60}?)\s+(?:and|to|until|till)\s+(.{3,60})", _between),
    _rule(r"\b(?:since|after)\s+(.{2,60})", _since),
    _rule(rf"\b(?:last|past|previous)\s+{_COUNT}\s*{_UNIT}\b", _last),
    _rule(r"\b(?:last|past)\s+()(minute|hour|day)\b", _last),
    _rule(r"\bpast\s+()(week)\b", _last),
    _rule(rf"\b{_COUNT}\s*{_UNIT}\s+ago\b", _ago),
    _rule(
        r"\b(today|tonight|yesterday|(?:this|last)\s+(?:week|month)|this\s+(?:hour|morning)|last\s+night)\b",
        _calendar,
    ),
    _rule(r"\b(?:before|until|till)\s+(.{2,60})", _before),
    _rule(r"\b(?:at|around|about)\s+(\d[^?,]{1,40}|noon|midnight)", _at),
    _rule(rf"\b(?:on\s+)?({_WEEKDAY}|\d{{4}}-\d{{2}}-\d{{2}})\b(?![T\s]*\d)", _on_day),
    _rule(r"\b(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}\S*)", _at),
)
"""Most specific first; the first that yields a readable window wins."""
