"""How the source of a record writes its times and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

NAMED_FORMATS: Final = {"iso": None, "clf": "%d/%b/%Y:%H:%M:%S %z", "rfc2822": "%a, %d %b %Y %H:%M:%S %z"}
"""Formats of times that have a name; `clf` is that of web servers' logs."""
DECIMAL_SIGNS: Final = (".", ",")
THOUSANDS_SIGNS: Final = (".", ",", "'", "\u2019", " ", "\u00a0", "\u202f", "_")

_SAMPLE = datetime(2021, 11, 23, 14, 58, 37, tzinfo=UTC)
_NUMERIC_DATE = re.compile(
    r"(?:(?P<first>\d{1,2})(?P<sign>[./-])(?P<second>\d{1,2})(?P=sign)(?P<year>\d{4}|\d\d)"
    r"|\d{4}(?P<big>[./])\d{1,2}(?P=big)\d{1,2})"
    r"(?:(?P<gap>,? |T)\d{1,2}:\d\d(?P<seconds>:\d\d(?P<fraction>\.\d{1,6})?)?(?P<half> ?[AaPp][Mm])?)?"
    r"(?P<zone> ?[+-]\d\d:?\d\d)?"
)


class PlainText(str):
    """Text whose numbers have a decimal point, whatever signs the rest of the source uses."""

    __slots__ = ()


class JsonText(str):
    """Text of a JSON array or object, which a file has where other rows have a name or a number."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Notation:
    """How times and numbers of one field are written."""

    zone: tzinfo | None = None
    """Zone of times that carry none; None rejects them."""
    unit: str | None = None
    """None: the field's own; for times: not a number."""
    format: str | None = None
    """Of times, as strptime has it; None: ISO 8601."""
    decimal: str = "."
    thousands: str | None = None
    """None: digits are not grouped."""


@dataclass(frozen=True, slots=True)
class ParseOptions:
    """How the source of a record writes times and numbers; the context of validation."""

    notation: Notation = field(default_factory=Notation)
    fields: Mapping[str, Notation] = field(default_factory=dict)
    """Notation by field name, where it is not the one above."""
    remarks: list[str] = field(default_factory=list)
    """What was decided while reading values and should be reported; the reader of a row clears them."""

    def of(self, name: str) -> Notation:
        """Return the notation of a field."""
        return self.fields.get(name, self.notation)


def checked_format(text: str) -> str | None:
    """Return a format of times that names day, month and year, None for ISO 8601. Raises ValueError."""
    if text.lower() in NAMED_FORMATS:
        return NAMED_FORMATS[text.lower()]
    try:
        again = datetime.strptime(_SAMPLE.strftime(text), text)  # noqa: DTZ007  a format may lack the zone
    except ValueError:
        again = None
    # An hour of twelve without AM and PM reads back as another hour; a zone by name is dropped by strptime.
    if again and again.date() == _SAMPLE.date() and again.hour in (0, _SAMPLE.hour) and "%Z" not in text:
        return text
    accepted = f"expected day, month and year like '%d.%m.%Y %H:%M', or {', '.join(NAMED_FORMATS)}"
    raise ValueError(f"{text!r} is not a format of times; {accepted}")


def likely_formats(text: str) -> tuple[str, ...]:
    """Return the formats that a time in digits may have: two if day and month cannot be told apart."""
    found = _NUMERIC_DATE.fullmatch(text)
    if found is None:
        return ()
    part = found.groupdict(default="")
    clock = ""
    if part["gap"]:
        hour, half = ("%I", part["half"].rstrip("AaPpMm") + "%p") if part["half"] else ("%H", "")
        fraction = ".%f" if part["fraction"] else ""
        clock = f"{part['gap']}{hour}:%M{':%S' if part['seconds'] else ''}{fraction}{half}"
    zone = part["zone"] and (" %z" if part["zone"].startswith(" ") else "%z")
    if sign := part["big"]:
        return (f"%Y{sign}%m{sign}%d{clock}{zone}",)
    year, sign = "%Y" if len(part["year"]) > 2 else "%y", part["sign"]  # noqa: PLR2004
    orders = {"%d": int(part["second"]) <= 12, "%m": int(part["first"]) <= 12 and sign != "."}  # noqa: PLR2004
    other = {"%d": "%m", "%m": "%d"}
    dates = [
        f"{first}{sign}{other[first]}{sign}{year}" for first, is_possible in orders.items() if is_possible
    ]
    return tuple(f"{day}{clock}{zone}" for day in dates)
