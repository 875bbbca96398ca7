"""Parses times in words, such as `Tuesday 14:00 CET`, `Nov 17` or `2 hours ago`, into UTC spans."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dateparser

Span = tuple[datetime, datetime]
"""Start and end; equal for a point in time."""

DAY = timedelta(days=1)
_NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve"
_COUNTS = {word: number for number, word in enumerate(_NUMBER_WORDS.split(), start=1)} | {
    "a": 1, "an": 1, "couple": 2, "couple of": 2, "a couple of": 2, "few": 3, "a few": 3, "several": 3,
}  # fmt: skip
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": DAY,
    "w": 7 * DAY,
    "mo": 30 * DAY,
    "y": 365 * DAY,
}
COUNT = r"(?:\d{1,4}|" + "|".join(sorted(_COUNTS, key=len, reverse=True)) + ")"
UNIT = (
    r"(?:months?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:eeks?)?|s(?:ec(?:ond)?s?)?|y(?:ears?)?)"
)

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY = rf"(?:{'|'.join(_WEEKDAYS)}|mon|tues?|wed|thu(?:rs?)?|fri)\b"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_NTH = r"\d{1,2}(?:st|nd|rd|th)?(?![\d:])"
_IN_MONTH = rf"(?:the )?(?:{_NTH} (?:of )?{_MONTH}|{_MONTH} {_NTH})\b(?:,? \d{{4}}\b)?"
_ISO = r"\d{4}-\d{2}-\d{2}(?![\d-])"
_DAY = rf"(?:{_ISO}|(?:{_WEEKDAY},? )?{_IN_MONTH}|(?:(?:last|this) )?{_WEEKDAY}|today\b|yesterday\b)"
_CLOCK = (
    r"(?:noon\b|midnight\b|\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?![\d:])(?: ?[ap]m\b)?|\d{1,2} ?[ap]m\b)"
)
_OFFSET = r"(?:utc|gmt|z)(?:[+-]\d{1,2}(?::?\d{2})?)?(?!\w)|[+-]\d{2}:?\d{2}(?!\d)"
_INITIALS = r"(?-i:[ECMP][SD]?T|CES?T|EES?T|WES?T|BST|IST|JST|SGT|AE[SD]T)\b"
_PLACE = r"(?-i:[A-Z][A-Za-z]{2,12}/[A-Z][A-Za-z_]{2,20})\b"
_ZONE = rf"(?: ?(?:{_OFFSET})| (?:{_INITIALS}|{_PLACE}))"
_AT = r"(?:,? (?:at |around )?|t)"
_AGO = rf"{COUNT} ?{UNIT} ago\b"
_PERIOD = (
    r"(?:(?:this|last) (?:week|month|year)|this (?:hour|morning|afternoon|evening)|last night|tonight"
    r"|(?:(?:this|last|the) )?weekend)\b"
)
MOMENT = rf"(?:{_DAY}{_AT}{_CLOCK}{_ZONE}?|{_CLOCK}{_ZONE}?(?: (?:on )?{_DAY})?|{_AGO}|{_PERIOD}|{_DAY})"
"""Pattern of a phrase that names a time or a day; expects single spaces."""

_PARTS = re.compile(
    rf"(?P<ago>{_AGO})|(?P<period>{_PERIOD})"
    rf"|(?P<day>{_DAY})?(?:{_AT}?(?P<clock>{_CLOCK})(?P<zone>{_ZONE})?)?(?: (?:on )?(?P<day_last>{_DAY}))?",
    re.IGNORECASE | re.ASCII,
)
_DURATION = re.compile(rf"({COUNT})? ?({UNIT})", re.ASCII)
_TIME_OF_DAY = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?(?:\.\d+)? ?([ap]m)?", re.IGNORECASE)
_NOON = 12
_HOUR = timedelta(hours=1)
_MIN_TIME = datetime.min.replace(tzinfo=UTC)
_MAX_TIME = datetime.max.replace(tzinfo=UTC)

_parser_lock = threading.Lock()  # dateparser keeps its settings in shared objects


def read_moment(phrase: str, base: datetime) -> Span | None:
    """Parse a phrase that matches MOMENT into the latest such span up to `base`.

    Returns None for a date or time that does not exist, such as the 31st of November.
    """
    parts = _PARTS.fullmatch(phrase)
    if parts is None:
        return None
    if parts["ago"]:
        return _ago(parts["ago"], base)
    if parts["period"]:
        return calendar_span(parts["period"], base)
    return _day_or_time(parts, base)


def _day_or_time(parts: re.Match[str], base: datetime) -> Span | None:
    named_day = parts["day"] or parts["day_last"]
    day = _day(named_day, base) if named_day else None
    if named_day and day is None:
        return None
    if not parts["clock"]:
        return (day, _add(day, DAY)) if day else None
    moment = _clock_time(day, parts["clock"], (parts["zone"] or "").strip(), base)
    return (moment, moment) if moment else None


def names_day(phrase: str) -> bool:
    """Return whether a phrase that matches MOMENT names more than a time of day."""
    parts = _PARTS.fullmatch(phrase)
    return parts is not None and not (parts["clock"] and not parts["day"] and not parts["day_last"])


def duration_of(phrase: str) -> timedelta:
    """Parse a duration made of COUNT and UNIT, such as `3 hours`; the count defaults to 1."""
    count, unit = _count_and_unit(phrase.casefold())
    return count * _UNITS[unit]


def _count_and_unit(phrase: str) -> tuple[int, str]:
    match = _DURATION.fullmatch(phrase)
    if match is None:
        raise ValueError(f"not a duration: {phrase!r}")
    word, unit = match.groups()
    count = int(word) if word and word.isdecimal() else _COUNTS[word or "one"]
    return count, "mo" if unit.startswith("mo") else unit[0]


def midnight_of(moment: datetime) -> datetime:
    """Return the start of the UTC day."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def calendar_span(phrase: str, base: datetime) -> Span:
    """Return the UTC span of `this week`, `last night`, ...; weeks start on Monday.

    `weekend` is the most recent one that has started.
    """
    midnight = midnight_of(base)
    monday = _add(midnight, -midnight.weekday() * DAY)
    saturday = _add(midnight, -((midnight.weekday() - 5) % 7) * DAY)
    month, year = midnight.replace(day=1), midnight.replace(month=1, day=1)
    spans = {
        "tonight": (midnight, base),
        "this hour": (base.astimezone(UTC).replace(minute=0, second=0, microsecond=0), base),
        "this morning": (midnight, midnight + 12 * _HOUR),
        "this afternoon": (midnight + 12 * _HOUR, midnight + 18 * _HOUR),
        "this evening": (midnight + 18 * _HOUR, _add(midnight, DAY)),
        "last night": (_add(midnight, -6 * _HOUR), midnight + 6 * _HOUR),
        "this week": (monday, base),
        "last week": (_add(monday, -7 * DAY), monday),
        "this month": (month, base),
        "last month": (_add(month, -DAY).replace(day=1), month),
        "this year": (year, base),
        "last year": (_add(year, -DAY).replace(month=1, day=1), year),
        "weekend": (saturday, _add(saturday, 2 * DAY)),
    }
    name = phrase.casefold()
    return spans["weekend" if name.endswith("weekend") else name]


def _add(moment: datetime, span: timedelta) -> datetime:
    """Add a duration, clamped to the range of datetime."""
    try:
        return moment + span
    except OverflowError:
        return _MIN_TIME if span < timedelta(0) else _MAX_TIME


def subtract(moment: datetime, span: timedelta) -> datetime:
    """Subtract a duration, clamped to the range of datetime."""
    return _add(moment, -span)


def _ago(phrase: str, base: datetime) -> Span:
    """Parse `N units ago`: a whole day for days and longer units, else a point in time."""
    count, unit = _count_and_unit(phrase.casefold().removesuffix(" ago"))
    moment = subtract(base, count * _UNITS[unit])
    if _UNITS[unit] < DAY:
        return moment, moment
    return midnight_of(moment), _add(midnight_of(moment), DAY)


def _day(phrase: str, base: datetime) -> datetime | None:
    """Return the midnight that starts the latest such day up to `base`."""
    words = phrase.casefold().removeprefix("last ").removeprefix("this ")
    if words in ("today", "yesterday"):
        return _add(midnight_of(base), DAY * -(words == "yesterday"))
    if words[:4].isdecimal():
        # dateparser would read 2026-13-01 as the 13th of January.
        return _iso_date(words)
    weekday = next((day for day in _WEEKDAYS if words.isalpha() and words[:3] == day[:3]), None)
    found = _parse_date(weekday or words, base)
    return midnight_of(found) if found else None


def _iso_date(date: str) -> datetime | None:
    try:
        return datetime.fromisoformat(date).replace(tzinfo=UTC)
    except ValueError:
        return None


def _clock_time(day: datetime | None, clock: str, zone: str, base: datetime) -> datetime | None:
    """Return a time of day on a day, or its latest occurrence up to `base`."""
    time_of_day = _time_of_day(clock)
    if time_of_day is None:
        return None
    moment = _from_zone(_add(day or midnight_of(base), time_of_day), zone)
    if moment is None or day is not None:
        return moment
    # The zone may move the time of day to the previous or next UTC day.
    return next((m for m in (_add(moment, n * DAY) for n in (1, 0, -1)) if m <= base), None)


def _time_of_day(clock: str) -> timedelta | None:
    """Parse a 12- or 24-hour clock time; None if there is no such time."""
    match = _TIME_OF_DAY.fullmatch({"noon": "12:00", "midnight": "00:00"}.get(clock.casefold(), clock))
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    if match[4]:
        if not 0 < hour <= _NOON:
            return None
        hour = hour % _NOON + _NOON * (match[4].casefold() == "pm")
    valid = hour < 24 and minute < 60 and second < 60  # noqa: PLR2004  a day has 24 hours
    return timedelta(hours=hour, minutes=minute, seconds=second) if valid else None


def _from_zone(local: datetime, zone: str) -> datetime | None:
    """Convert local time in a zone (`CET`, `+02:00`, `UTC+2`, `Europe/Berlin`) to UTC."""
    if zone.casefold() in ("", "z", "utc", "gmt"):
        return local
    if "/" not in zone:
        return _parse_date(f"{local:%Y-%m-%d %H:%M:%S} {zone}", local)
    try:
        return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ZoneInfoNotFoundError, ValueError, OverflowError):
        return None


def _parse_date(phrase: str, base: datetime) -> datetime | None:
    settings = {
        "RELATIVE_BASE": base.astimezone(UTC).replace(tzinfo=None),
        "TIMEZONE": "UTC",
        "RETURN_AS_TIMEZONE_AWARE": True,
        "PREFER_DATES_FROM": "past",
    }
    with _parser_lock:
        try:
            found = dateparser.parse(phrase, languages=["en"], settings=settings)
            return found and found.astimezone(UTC)
        except OverflowError:  # outside the range of datetime
            return None
