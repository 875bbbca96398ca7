"""Pure: one source text to one typed value, or the reason why not.

Each type answers `converter(reading)` with a function from a non-empty text to a value. The function
raises RowRejected, whose message starts with the problem; the field's name is put in front elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any, Protocol

from api.ingest.errors import MappingError, RowRejected, ZoneOrUnitMissing, shown

Convert = Callable[[str], Any]

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Times outside are a wrong unit or a broken clock."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_UNITS = {"s": Decimal(10**6), "ms": Decimal(10**3), "us": Decimal(1)}
"""Microseconds in one unit of a numeric time."""
_MAX_EPOCH_US = Decimal(10) ** 16
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_MAX_DIGITS = 60
# PostgreSQL stores neither NUL nor half of a surrogate pair.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mapping says about how to read a text."""

    unit: str | None = None
    zone: tzinfo | None = None
    """For times that carry none."""

    def refuse_unit(self) -> None:
        """For types that have none."""
        if self.unit is not None:
            raise MappingError("this field has no unit")


class ValueType(Protocol):
    """What a field holds."""

    def converter(self, reading: Reading) -> Convert:
        """The conversion under what a mapping states. Raises MappingError for a unit it has not."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """Text of at most `limit` characters."""

    limit: int

    def converter(self, reading: Reading) -> Convert:
        """Gives the text as it is."""
        reading.refuse_unit()
        return self._convert

    def _convert(self, text: str) -> str:
        if len(text) > self.limit:
            raise RowRejected("too long", f"{len(text):,} characters, at most {self.limit:,} are accepted")
        if _UNSTORABLE.search(text):
            raise RowRejected("unstorable character", f"{shown(text)} holds NUL or half a surrogate pair")
        return text


@dataclass(frozen=True, slots=True)
class Choice:
    """A member of an enum, in any case of letters."""

    members: type[StrEnum]

    def converter(self, reading: Reading) -> Convert:
        """Gives the member's value."""
        reading.refuse_unit()
        return self._convert

    def _convert(self, text: str) -> str:
        known = [str(member) for member in self.members]
        if text.lower() in known:
            return text.lower()
        raise RowRejected(
            "unknown value", f"{shown(text)}; accepted are {', '.join(known)}, or map it with `values`"
        )


@dataclass(frozen=True, slots=True)
class Number:
    """A number from 0 to `maximum`, in the first of its units."""

    maximum: Decimal
    factors: Mapping[str, Decimal] = field(default_factory=dict)
    """What one of each unit is in the field's own unit, which comes first."""
    whole: bool = False
    """Whether a fraction is an error."""
    places: int = 0
    """Digits kept after the point."""

    def converter(self, reading: Reading) -> Convert:
        """Gives an int where no digits are kept after the point, else a Decimal; rounds half to even."""
        if not self.factors:
            reading.refuse_unit()
        factor = _factor(reading.unit, self.factors) if reading.unit else Decimal(1)
        return lambda text: self._convert(text, factor)

    def _convert(self, text: str, factor: Decimal) -> int | Decimal:
        value = _decimal(text) * factor
        if value < 0:
            raise RowRejected("negative", shown(text))
        if value > self.maximum:
            own_unit = f" {next(iter(self.factors))}" if self.factors else ""
            raise RowRejected("too large", f"{shown(text)}; at most {self.maximum:,}{own_unit} is accepted")
        if self.whole and value != value.to_integral_value():
            raise RowRejected("not a whole number", shown(text))
        if self.places:
            return value.quantize(Decimal(1).scaleb(-self.places), ROUND_HALF_EVEN)
        return int(value.to_integral_value(ROUND_HALF_EVEN))


def _factor(unit: str, factors: Mapping[str, Decimal]) -> Decimal:
    if unit not in factors:
        raise MappingError(f"unknown unit {shown(unit)}; accepted are {', '.join(factors)}")
    return factors[unit]


def _decimal(text: str) -> Decimal:
    """An exact number in ASCII digits. NaN, infinities and thousands separators are not numbers."""
    if len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
        raise RowRejected("not a number", shown(text))
    return Decimal(text)


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: ISO 8601 text, or a number since 1970 in a stated unit."""

    def converter(self, reading: Reading) -> Convert:
        """Gives an aware UTC datetime."""
        if reading.unit is None:
            return lambda text: _in_range(_iso(text, reading.zone), text)
        factor = _factor(reading.unit, _EPOCH_UNITS)
        return lambda text: _in_range(_since_epoch(text, factor), text)


def _iso(text: str, zone: tzinfo | None) -> datetime:
    if _NUMBER.fullmatch(text):
        raise ZoneOrUnitMissing(
            "a number without a unit", f'{shown(text)}; say unit = "s", "ms" or "us" for seconds since 1970'
        )
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC") + "Z" if text.endswith(" UTC") else text)
    except ValueError:
        raise RowRejected(
            "not a time", f"{shown(text)}; expected ISO 8601 like 2024-11-15 16:57:50"
        ) from None
    if moment.tzinfo is not None:
        return moment
    if zone is None:
        raise ZoneOrUnitMissing(
            "a time without a zone", f'{shown(text)}; say which it means, for example zone = "UTC"'
        )
    return moment.replace(tzinfo=zone)


def _since_epoch(text: str, factor: Decimal) -> datetime:
    microseconds = _decimal(text) * factor
    if abs(microseconds) > _MAX_EPOCH_US:
        raise RowRejected("out of range", f"{shown(text)}; is the unit right?")
    return _EPOCH + timedelta(microseconds=int(microseconds.to_integral_value(ROUND_HALF_EVEN)))


def _in_range(moment: datetime, text: str) -> datetime:
    try:
        instant = moment.astimezone(UTC)
    except OverflowError:  # year 1 or 9999 moved across its end
        instant = EARLIEST - timedelta(days=1)
    if EARLIEST <= instant < LATEST:
        return instant
    raise RowRejected(
        "out of range", f"{shown(text)}; accepted are {EARLIEST:%Y} to {LATEST:%Y}; is the unit right?"
    )


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object of at most `limit` characters."""

    limit: int

    def converter(self, reading: Reading) -> Convert:
        """Gives a dict."""
        reading.refuse_unit()
        return self._convert

    def _convert(self, text: str) -> dict[str, Any]:
        Text(self.limit).converter(Reading())(text)
        try:
            parsed = json.loads(text)
            canonical = json.dumps(parsed, ensure_ascii=False, allow_nan=False)
        except (ValueError, RecursionError):
            raise RowRejected("not JSON", shown(text)) from None
        unstorable = _UNSTORABLE.search(canonical) or _ESCAPED_NUL.search(canonical)
        if not isinstance(parsed, dict) or unstorable:
            raise RowRejected("not a JSON object that can be stored", shown(text))
        return parsed
