"""Numbers, times and time zones, read exactly or refused with what is accepted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.ingest.records.problems import NO_UNIT, NO_ZONE, ValueProblem, excerpt

MIN_TIME = datetime(2000, 1, 1, tzinfo=UTC)
MAX_TIME = datetime(2100, 1, 1, tzinfo=UTC)
"""Exclusive. Times outside come from a wrong unit or a broken clock."""
EPOCH_UNITS: Final = {"s": Decimal(10**6), "ms": Decimal(10**3), "us": Decimal(1)}
"""Microseconds in one unit of a numeric time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_EPOCH_US = Decimal(10) ** 16
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_MAX_DIGITS = 60


def parse_number(value: object) -> Decimal:
    """Return the number that a value states in ASCII digits.

    Raises:
        ValueProblem: NaN, infinities and thousands separators are not accepted.
    """
    text = str(value)
    if len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
        raise ValueProblem("not a number", excerpt(text))
    return Decimal(text)


def parse_time(value: object, zone: tzinfo | None = None, unit: str | None = None) -> datetime:
    """Return a time in UTC, from ISO 8601 text, a datetime or a number since 1970.

    `zone` is that of times that carry none. A `unit`, one of EPOCH_UNITS, makes the value a number.

    Raises:
        ValueProblem: not a time, before 2000 or after 2099, or its zone or unit is not known.
    """
    if unit is not None:
        return _in_range(_since_epoch(parse_number(value) * EPOCH_UNITS[unit]), value)
    moment = value if isinstance(value, datetime) else _iso(str(value))
    if moment.tzinfo is None:
        if zone is None:
            raise ValueProblem(NO_ZONE, f"{excerpt(value)}; state it, as in 2024-11-15 16:57:50Z")
        moment = moment.replace(tzinfo=zone)
    return _in_range(moment, value)


def parse_zone(name: str) -> tzinfo:
    """Return the time zone called `UTC`, `Europe/Paris` or `+02:00`. Raises ValueError."""
    try:
        if name.upper() in ("UTC", "Z"):
            return UTC
        if name.startswith(("+", "-")):
            return datetime.strptime(name, "%z").tzinfo or UTC
        return ZoneInfo(name)
    # The name becomes a path below the zone database: it can be too long, or a folder.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        accepted = "expected a name like UTC or Europe/Paris, or +02:00"
        raise ValueError(f"unknown time zone {excerpt(name)}; {accepted}") from None


def _iso(text: str) -> datetime:
    if _NUMBER.fullmatch(text):
        raise ValueProblem(NO_UNIT, f"{excerpt(text)}; the unit can be s, ms or us since 1970")
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC") + "Z" if text.endswith(" UTC") else text)
    except ValueError:
        accepted = "expected ISO 8601 like 2024-11-15 16:57:50"
        raise ValueProblem("not a time", f"{excerpt(text)}; {accepted}") from None


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
