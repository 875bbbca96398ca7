"""Times as people write them, with zones by name; periods and durations. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise

import dateparser

from api.ingest.records import Notation, ValueProblem, parse_time
from api.ingest.records.problems import NO_FORMAT, excerpt
from context_builder.text.zones import ZONE, zone_named

NOT_A_TIME = "not a time"
AMBIGUOUS = "an ambiguous time"

_MAX_CHARACTERS = 300
"""Beginning of a text in which times are looked for."""
_EXAMPLE = "write it like 2024-03-05 14:02 UTC"
_WORD = r"[^\W\d_]{3,10}\.?"
_ORDINAL = r"\d{1,2}(?:st|nd|rd|th|\.)?"
_DAY = (
    r"(?<!\d)(?:(?P<ymd>\d{4}([-/.])\d{1,2}\2\d{1,2})|(?P<numeric>\d{1,2}([./-])\d{1,2}\4\d{4}))(?!\d)"
    rf"|(?P<named>(?<!\d){_ORDINAL}[\s-]+(?:of\s+)?{_WORD},?[\s-]+\d{{4}}(?!\d)"
    rf"|(?<!\w){_WORD}\s+{_ORDINAL},?\s+\d{{4}}(?!\d|:)|\d{{4}}年\d{{1,2}}月\d{{1,2}}日)"
)
_CLOCK = (
    r"(?P<clock>(?<![\d:.])(?:(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?!\d|:\d)"
    r"(?:\s?[AaPp]\.?[Mm]\b\.?)?|(?:1[0-2]|0?[1-9])\s?[AaPp]\.?[Mm]\b\.?|(?:[01]?\d|2[0-3])時(?:[0-5]?\d分)?))"
)
_ATOM = re.compile(f"{_DAY}|{_CLOCK}")
_ZONE_AFTER = re.compile(rf"(?:\s*Uhr\b)?\s*\(?({ZONE})\)?")
_UNKNOWN_ZONE = re.compile(r"\s*\(?([A-Z]{2,5})\)?\s*(?:$|[,;.\u2013\u2014-]|to\b|until\b)")
_DASH_OFFSET = re.compile(r"(\s*)-(\d\d):?(\d\d)(?!\d)")
_DATEPARSER_LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "nl", "ja"]
_DATEPARSER_SETTINGS = {"PARSERS": ["absolute-time"], "REQUIRE_PARTS": ["day", "month", "year"]}
_FILLERS = re.compile(
    r"\b(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*|at|on|um|uhr|[TZ])\b|[\s,()*_`.]+", re.IGNORECASE
)
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_AMOUNT = re.compile(
    r"(?P<amount>\d{1,6}(?:[.,]\d{1,3})?)\s*-?(?:(?P<d>d|days?|tag|tagen?|日)|(?P<h>h|hrs?|hours?|std|stunden?|時間)"
    r"|(?P<m>m|mins?|minutes?|minuten?|分)|(?P<s>s|secs?|seconds?|sekunden?|秒))(?![A-Za-z])",
    re.IGNORECASE,
)
_HOURS_MINUTES_SECONDS = re.compile(r"(?<![\d:])(\d{1,3}):([0-5]\d):([0-5]\d)(?![\d:])")
_RANGE = re.compile(r"\d\s*(?:-|\u2013|to|bis)\s*\d")
_NOON = 12


@dataclass(frozen=True, slots=True)
class Stamp:
    """A day, a time of day, or both, as a text states them."""

    day: date | None = None
    clock: time | None = None
    zone: tzinfo | None = None
    start: int = 0
    """Where it begins in the text."""
    end: int = 0


def find_stamps(text: str, near: tzinfo | None = None, *, strict: bool = False) -> list[Stamp]:
    """Return the times in a text in order; those of a period share their day and their zone.

    A zone whose abbreviation is ambiguous is `near`, if it can be. If `strict`, capital letters after a time
    that are no known zone are a problem.

    Raises:
        ValueProblem: a day or a zone that can be two, or a day that does not exist.
    """
    found: list[Stamp] = []
    for atom in _atoms(text[:_MAX_CHARACTERS], near, strict=strict):
        last = found[-1] if found else Stamp()
        if (atom.day and last.day is None and last.clock) or (atom.clock and last.clock is None and last.day):
            found[-1] = replace(
                last,
                day=last.day or atom.day,
                clock=last.clock or atom.clock,
                zone=atom.zone or last.zone,
                end=atom.end,
            )
        else:
            found.append(atom)
    days = [stamp.day for stamp in found if stamp.day]
    zones = [stamp.zone for stamp in found if stamp.zone]
    shared: list[Stamp] = []
    for stamp in found:
        last = shared[-1] if shared else Stamp(next(iter(days), None))
        day = stamp.day or last.day
        if day and not stamp.day and stamp.clock and last.clock and stamp.clock < last.clock:
            day += timedelta(days=1)
        shared.append(replace(stamp, day=day, zone=stamp.zone or (zones[-1] if zones else None)))
    return shared


def _atoms(text: str, near: tzinfo | None, *, strict: bool) -> Iterator[Stamp]:
    position = 0
    while atom := _ATOM.search(text, position):
        position = atom.end()
        clock = _clock(atom["clock"]) if atom["clock"] else None
        day = None if clock else _day(atom)
        if clock is None and day is None:
            position = atom.start() + 1
            continue
        zone = None
        after = _ZONE_AFTER.match(text, position)
        if after and not (clock and _begins_period(text, atom)):
            try:
                zone = zone_named(after[1], near)
            except ValueError as error:
                raise ValueProblem(AMBIGUOUS, f"{excerpt(text)}: {error}") from None
            position = after.end()
        elif strict and (unknown := _UNKNOWN_ZONE.match(text, position)):
            accepted = "accepted are UTC, JST, Europe/Paris, +02:00 and the like"
            raise ValueProblem("an unknown time zone", f"{unknown[1]!r} in {excerpt(text)}; {accepted}")
        yield Stamp(day, clock, zone, atom.start(), position)


def _begins_period(text: str, clock: re.Match[str]) -> bool:
    """Return True if the hyphen after a time is that of `14:02-14:37`, False if it is no hyphen or an offset.

    Raises:
        ValueProblem: it can be both.
    """
    hyphen = _DASH_OFFSET.match(text, clock.end())
    if hyphen is None:
        return False
    if int(hyphen[2]) > _NOON or int(hyphen[3]) % 15 or _ZONE_AFTER.match(text, hyphen.end()):
        return True
    if hyphen[1] or text[clock.start() - 1 : clock.start()] == "T" or clock.group().count(":") > 1:
        return False
    raise ValueProblem(AMBIGUOUS, f"{excerpt(text)}: a period, or an offset? {_EXAMPLE}")


def _day(atom: re.Match[str]) -> date | None:
    """Return the day, None if words only look like one. Raises ValueProblem."""
    written = atom.group()
    if atom["named"]:
        moment = dateparser.parse(written, languages=_DATEPARSER_LANGUAGES, settings=_DATEPARSER_SETTINGS)
        return moment.date() if moment else None
    first, second, third = (int(part) for part in re.split(r"[./-]", written))
    try:
        if atom["ymd"]:
            return date(first, second, third)
        if "." in written:
            return date(third, second, first)
        if first <= _NOON and second <= _NOON and first != second:
            raise ValueProblem("an ambiguous date", f"{excerpt(written)}; {_EXAMPLE}")
        return date(third, *sorted((first, second)))
    except ValueError as error:
        if isinstance(error, ValueProblem):
            raise
        raise ValueProblem(NOT_A_TIME, f"{excerpt(written)}; {_EXAMPLE}") from None


def _clock(written: str) -> time:
    hour, minute, second = [*(int(part) for part in re.findall(r"\d+", written)), 0, 0][:3]
    half = re.search("[AaPp]", written)
    if half and 0 < hour <= _NOON:
        hour = hour % _NOON + (_NOON if half.group() in "Pp" else 0)
    return time(hour, minute, second)


def parse_written_time(value: object, notation: Notation, remarks: list[str] | None = None) -> datetime:
    """Return a time in UTC, from ISO 8601 or from text such as `March 5, 2024 2:02 PM PST`.

    Raises:
        ValueProblem: no time or an ambiguous one, out of range, or without a zone although none is stated.
    """
    try:
        return parse_time(value, notation, remarks)
    except ValueProblem as problem:
        if notation.unit or notation.format or problem.kind not in (NOT_A_TIME, NO_FORMAT):
            raise
        text = str(value).strip("*_` ")
        stamps = find_stamps(text, notation.zone, strict=True)
        if len(stamps) != 1 or stamps[0].day is None or len(text) > _MAX_CHARACTERS:
            raise
        edges = [0, *(edge for stamp in stamps for edge in (stamp.start, stamp.end)), len(text)]
        outside = "".join(text[begin:end] for begin, end in list(pairwise(edges))[::2])
        if _FILLERS.sub("", outside):
            raise
    return moment_of(stamps[0], notation.zone, remarks)


def moment_of(stamp: Stamp, zone: tzinfo | None, remarks: list[str] | None = None) -> datetime:
    """Return a stamp that has a day as a time in UTC; `zone` is its zone if it states none.

    Raises:
        ValueProblem: there is no zone, or it is out of range or skipped by the clocks of the zone.
    """
    local = datetime.combine(stamp.day or date.min, stamp.clock or time())
    zone = stamp.zone or zone
    return parse_time(local if zone else local.isoformat(" ", "minutes"), Notation(zone), remarks)


def parse_length(text: str) -> timedelta | None:
    """Return the duration of `35 minutes`, `1h 20m`, `PT35M` or `01:35:00`; None if none, or a range."""
    if found := _HOURS_MINUTES_SECONDS.search(text[:_MAX_CHARACTERS]):
        hours, minutes, seconds = map(int, found.groups())
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    total, smallest, end = 0.0, float("inf"), None
    for amount in _AMOUNT.finditer(text[:_MAX_CHARACTERS]):
        size = next(seconds for unit, seconds in _SECONDS.items() if amount[unit])
        if size >= smallest or (end is not None and amount.start() - end > len(" and ")):
            break
        total += float(amount["amount"].replace(",", ".")) * size
        smallest, end = size, amount.end()
    if end is None or _RANGE.search(text[:end]):
        return None
    return timedelta(seconds=total)
