"""Numbers, times and time zones, read exactly or refused with what is accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from api.ingest.records.notation import Notation, PlainText, likely_formats
from api.ingest.records.problems import (
    NO_FORMAT,
    NO_UNIT,
    NO_ZONE,
    OTHER_SIGN,
    ValueProblem,
    excerpt,
)
from context_builder.text.zones import zone_named

MIN_TIME = datetime(2000, 1, 1, tzinfo=UTC)
MAX_TIME = datetime(2100, 1, 1, tzinfo=UTC)
"""Exclusive. Times outside come from a wrong unit or a broken clock."""
EPOCH_UNITS: Final = {"s": Decimal(10**6), "ms": Decimal(10**3), "us": Decimal(1), "ns": Decimal("0.001")}
"""Microseconds in one unit of a numeric time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_EPOCH_US = Decimal(10) ** 16
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_OTHER_SIGNS = re.compile(
    r"[+-]?(?:[1-9]\d{0,2}(?P<group>[.,' \u00a0\u202f\u2019])\d{3}(?:(?P=group)\d{3})*"
    r"(?:(?!(?P=group))(?P<point>[.,])\d+)?"
    r"|\d+(?P<only>[.,])\d+)",
    re.ASCII,
)
"""A number as somebody writes it."""
_OPEN_NUMBER = re.compile(r"[+-]?(?:\d*|[1-9]\d{0,2}[.,]\d{3})", re.ASCII)
_MAX_DIGITS = 60
_PLAIN = Notation()


@dataclass(frozen=True, slots=True)
class TimePair:
    """Start and end of something, as texts; neither is empty."""

    start: str
    end: str


def parse_number(value: object, notation: Notation = _PLAIN) -> Decimal:
    """Return the number that a value states in ASCII digits, with the signs of its notation.

    Raises:
        ValueProblem: NaN, infinities and signs of another notation are not accepted.
    """
    text = str(value)
    if not isinstance(value, str) or isinstance(value, PlainText):
        notation = _PLAIN
    if len(text) <= _MAX_DIGITS:
        if found := _number_pattern(notation.decimal, notation.thousands).fullmatch(text):
            digits = found.group().replace(notation.thousands or "", "")
            return Decimal(digits.replace(notation.decimal, "."))
        if found := _OTHER_SIGNS.fullmatch(text):
            raise ValueProblem(OTHER_SIGN, excerpt(text), _settings_of(found))
    raise ValueProblem("not a number", excerpt(text))


@lru_cache
def _number_pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    point = re.escape(decimal)
    grouped = rf"[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|" if thousands else ""
    return re.compile(rf"[+-]?((?:{grouped}\d+)({point}\d*)?|{point}\d+)([eE][+-]?\d{{1,4}})?", re.ASCII)


def _settings_of(number: re.Match[str]) -> str:
    """Return the settings under which a text is a number; if both are possible, both."""
    group, point = number["group"], number["point"] or number["only"]
    if group and point:
        return f"file.decimal={point!r} --set file.thousands={group!r}"
    if point or number.group().count(group) > 1 or group not in ".,":
        return f"file.decimal={point!r}" if point else f"file.thousands={group!r}"
    return f"file.decimal={group!r} or file.thousands={group!r}"


def shows_signs(value: object) -> bool:
    """Return True if the text of a number would be none with other signs: `1.5` and not `1.500`."""
    return type(value) is str and not _OPEN_NUMBER.fullmatch(value)


def parse_time(value: object, notation: Notation = _PLAIN, remarks: list[str] | None = None) -> datetime:
    """Return a time in UTC, from text in the notation's format, a datetime or a number since 1970.

    An hour that the zone has twice is taken as the first of the two, which is added to `remarks`.

    Raises:
        ValueProblem: not a time, before 2000 or after 2099, skipped by the zone's clocks, or its zone, unit
            or format is not known.
    """
    if notation.unit is not None:
        microseconds = parse_number(value, notation) * EPOCH_UNITS[notation.unit]
        return _in_range(_since_epoch(microseconds), value)
    moment = value if isinstance(value, datetime) else _written(str(value), notation.format)
    if moment.tzinfo is None:
        if notation.zone is None:
            detail = f"{excerpt(value)}; state it, as in 2024-11-15 16:57:50Z"
            raise ValueProblem(NO_ZONE, detail, "file.zone=UTC")
        moment = localized(moment, notation.zone, remarks)
    return _in_range(moment, value)


def localized(moment: datetime, zone: tzinfo, remarks: list[str] | None = None) -> datetime:
    """Return a local time with its zone; of an hour that is there twice, the first.

    Raises:
        ValueProblem: the clocks of the zone skipped this time.
    """
    moment = moment.replace(tzinfo=zone, fold=0)
    before, after = moment.utcoffset(), moment.replace(fold=1).utcoffset()
    if before is None or after is None or before == after:
        return moment
    if before < after:
        local = f"{moment:%Y-%m-%d %H:%M}"
        raise ValueProblem(f"a time that the clocks of {zone} skipped", f"{local}; state it with its offset")
    if remarks is not None:
        remarks.append(f"times in an hour that {zone} has twice, taken as the first of the two")
    return moment


def parse_duration(pair: TimePair, notation: Notation, remarks: list[str] | None = None) -> Decimal:
    """Return the milliseconds from start to end.

    Raises:
        ValueProblem: one is not a time, or the end is before the start.
    """
    moments = []
    for name, text in (("start", pair.start), ("end", pair.end)):
        try:
            moments.append(parse_time(text, notation, remarks))
        except ValueProblem as problem:
            detail = f"{problem.detail} (its {name})"
            raise ValueProblem(problem.kind, detail, problem.setting) from None
    start, end = moments
    if end < start:
        raise ValueProblem("end before start", f"{excerpt(pair.end)} < {excerpt(pair.start)}")
    return Decimal((end - start) // timedelta(microseconds=1)) / 1000


def parse_zone(name: str) -> tzinfo:
    """Return the time zone called `UTC`, `Europe/Paris`, `JST` or `+02:00`. Raises ValueError."""
    try:
        # As the zone database has it: its CET has summer time, that of a text has not.
        return ZoneInfo(name) if name in ("CET", "EET", "WET", "MET") else zone_named(name)
    except ValueError as error:
        raise ValueError(f"{error}; expected a name like UTC or Europe/Paris, or +02:00") from None


def _written(text: str, format_: str | None) -> datetime:
    try:
        if format_ is not None:
            return datetime.strptime(text, format_)  # noqa: DTZ007  the zone is put in later
        if not _NUMBER.fullmatch(text):
            return datetime.fromisoformat(text.removesuffix(" UTC") + "Z" if text.endswith(" UTC") else text)
    except ValueError:
        if format_ is not None:
            raise ValueProblem("not a time", f"{excerpt(text)}; stated is the format {format_!r}") from None
        if formats := likely_formats(text):
            looks = " or ".join(map(repr, formats))
            raise ValueProblem(
                NO_FORMAT, f"{excerpt(text)} looks like {looks}", "{field}.format=" + repr(formats[0])
            ) from None
        accepted = "expected ISO 8601 like 2024-11-15 16:57:50"
        raise ValueProblem("not a time", f"{excerpt(text)}; {accepted}", "{field}.format=FORMAT") from None
    unit = _likely_unit(text)
    looks = f", it looks like {unit}" if unit else ""
    detail = f"{excerpt(text)}; the unit can be {', '.join(EPOCH_UNITS)} since 1970{looks}"
    raise ValueProblem(NO_UNIT, detail, "{field}.unit=" + (unit or "s"))


def _likely_unit(text: str) -> str | None:
    """Return the one unit in which a number is a time of the accepted years; there are never two."""
    for unit, factor in EPOCH_UNITS.items():
        if MIN_TIME <= _since_epoch(Decimal(text) * factor) < MAX_TIME:
            return unit
    return None


def _since_epoch(microseconds: Decimal) -> datetime:
    if abs(microseconds) > _MAX_EPOCH_US:
        return MAX_TIME
    return _EPOCH + timedelta(microseconds=int(microseconds.to_integral_value(ROUND_HALF_EVEN)))


def _in_range(moment: datetime, value: object) -> datetime:
    try:
        instant = moment.astimezone(UTC)
    except OverflowError:  # year 1 or 9999 moved across its end
        instant = MAX_TIME
    if MIN_TIME <= instant < MAX_TIME:
        return instant
    accepted = f"accepted are the years {MIN_TIME.year} to {MAX_TIME.year - 1}; is the unit right?"
    raise ValueProblem("out of range", f"{excerpt(value)}; {accepted}")
