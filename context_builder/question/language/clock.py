"""Clock times as other languages say them, on a 24-hour clock. Pure arithmetic on words."""

from __future__ import annotations

import re

_NOON = 12
_DAY_HOURS = 24
_HOUR_MINUTES = 60
FIRST_NIGHT_HOUR = 6
"""From this hour on a clock time "at night" lies before midnight."""


def clock(hour: str, minute: str = "") -> str | None:
    """Return a clock time of an hour and minutes, which may be two digits or `:30`; None if there is none.

    `14.30` as the hour holds its minutes, as in `14.30 Uhr`.
    """
    if minute.startswith(":-"):
        return before("quarter", hour)
    match = re.fullmatch(r"(\d{1,2})(?:[.:](\d{2}))?", hour)
    if match is None or (match[2] and minute) or (minute and len(minute.lstrip(":")) > len("59")):
        return None
    return _written(int(match[1]), int(match[2] or minute.lstrip(":") or 0))


def before(word: str, hour: str) -> str | None:
    """Return the clock time before an hour: `halb drei` is 2:30, `viertel vor drei` 2:45."""
    is_hour = hour.isdecimal() and int(hour) > 0
    return _written(int(hour) - 1, 30 if word == "half" else 45) if is_hour else None


def after(word: str, hour: str) -> str | None:
    """Return the clock time a quarter past an hour."""
    return clock(hour, "15") if word == "quarter" else None


def in_part_of_day(time: str, part: str) -> str | None:
    """Return a clock time of 12 hours in a part of the day, on a 24-hour clock."""
    hour, minute = (int(number) for number in time.split(":")[:2])
    if hour > _NOON:
        return time
    is_late = part in ("afternoon", "evening") or (part == "night" and hour >= FIRST_NIGHT_HOUR)
    if part == "noon":
        is_late = hour < _NOON - 2 or hour == _NOON
    if part == "night" and hour == _NOON:
        return _written(0, minute)
    return _written(hour % _NOON + (_NOON if is_late else 0), minute)


def ends_of_range(first: str, last: str, *, is_first_known: bool, is_last_known: bool) -> tuple[str, str]:
    """Return the ends of a range; one whose half of the day is known gives it to the other."""
    one, two = _minutes(first), _minutes(last)
    half = _NOON * _HOUR_MINUTES
    if is_first_known and not is_last_known and half <= one < two + half < 2 * half:
        return first, _of_minutes(two + half)
    if is_last_known and not is_first_known and one < half <= two and one + half < two:
        return _of_minutes(one + half), last
    return first, last


def range_text(lead: str, first: str, last: str, *, first_known: bool, last_known: bool) -> str | None:
    """Return a range of clock times or hours after a word such as `between`; None if one is no time."""
    start, end = (time if ":" in time else clock(time) for time in (first, last))
    if not (start and end):
        return None
    start, end = ends_of_range(start, end, is_first_known=first_known, is_last_known=last_known)
    return f"between {start} and {end}" if lead == "between" else f"from {start} to {end}"


def _minutes(time: str) -> int:
    hour, minute = time.split(":")[:2]
    return int(hour) * _HOUR_MINUTES + int(minute)


def _of_minutes(minutes: int) -> str:
    return f"{minutes // _HOUR_MINUTES}:{minutes % _HOUR_MINUTES:02d}"


def _written(hour: int, minute: int) -> str | None:
    return f"{hour}:{minute:02d}" if hour < _DAY_HOURS and minute < _HOUR_MINUTES else None
