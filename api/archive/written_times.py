"""Times as people write them: ISO 8601 or written out, with zones by name, and periods. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, tzinfo

import dateparser

from api.ingest.records import ValueProblem, parse_time, parse_zone
from api.ingest.records.problems import NO_UNIT, NO_ZONE, excerpt

TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|[+-]\d\d:?\d\d|UTC|[A-Z]{1,4}T)\b)?"
)
"""A time within other text."""

_MAX_CHARACTERS = 100
_SEPARATOR = re.compile(r"\s+(?:-|to|until)\s+|\s*[\u2013\u2014]\s*")
_TIME_OF_DAY = re.compile(r"\d\d?:\d\d(?!\d)")
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_US_ZONES = {
    "ET": "America/New_York",
    "CT": "America/Chicago",
    "MT": "America/Denver",
    "PT": "America/Los_Angeles",
}
"""Abbreviations for summer and winter, which dateparser reads as those of winter."""
_SETTINGS = {"PARSERS": ["absolute-time"], "REQUIRE_PARTS": ["day", "month", "year"]}


def parse_written_time(value: object, zone: tzinfo | None = None, unit: str | None = None) -> datetime:
    """Return a time in UTC, from ISO 8601 or from text such as `March 5, 2024 2:02 PM PST`.

    Raises:
        ValueProblem: no time or an ambiguous one, out of range, or without a zone although `zone` is None.
    """
    try:
        return parse_time(value, zone, unit)
    except ValueProblem as problem:
        written = (
            None if unit or problem.kind in (NO_UNIT, NO_ZONE) else _written_out(str(value).strip("*_` "))
        )
        if written is None:
            raise
    return parse_time(written, zone)


def parse_period(text: str, zone: tzinfo | None = None) -> tuple[datetime, datetime | None]:
    """Return start and end of `2024-03-05 14:02 - 14:37 UTC`; the end is None if there is but one time.

    Raises:
        ValueProblem: the start, or what follows it, is no time.
    """
    first, *others = _SEPARATOR.split(text, maxsplit=1)
    if not others:
        return parse_written_time(text, zone), None
    day = _ISO_DATE.search(first)
    is_of_day = day and _TIME_OF_DAY.match(others[0])
    end = parse_written_time(f"{day.group()} {others[0]}" if day and is_of_day else others[0], zone)
    try:
        start = parse_written_time(first, zone)
    except ValueProblem:
        # The zone of a period is written at its end.
        start = parse_written_time(f"{first} {others[0].split()[-1]}", zone)
    return start, end + timedelta(days=1) if is_of_day and end < start else end


def _written_out(text: str) -> datetime | None:
    """Return a time that is not ISO 8601, aware if it names a zone; None if it is not a time."""
    rest, _, last = text.rpartition(" ")
    zone_name, zone = _US_ZONES.get(last, last), None
    try:
        if len(text) > _MAX_CHARACTERS or not text:
            return None
        if day := _ISO_DATE.match(text):
            date.fromisoformat(day.group())  # dateparser would take 2024-13-05 for the 13th of May
        if zone_name.count("/") == 1:
            zone = parse_zone(zone_name)
        found = {
            dateparser.parse(
                rest if zone else text, languages=["en"], settings={**_SETTINGS, "DATE_ORDER": order}
            )
            for order in ("DMY", "MDY")
        }
    except (ValueError, OverflowError):
        return None
    if len(found) > 1:
        raise ValueProblem("an ambiguous date", f"{excerpt(text)}; write it like 2024-03-05 14:02 UTC")
    moment = found.pop()
    return moment.replace(tzinfo=zone) if moment and zone else moment
