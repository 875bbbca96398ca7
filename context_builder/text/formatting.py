"""How numbers, money, times and names are written in facts: one way, so that they can be checked. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

from context_builder.text.sanitize import quote

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DIME = Decimal("0.1")
_CENT = Decimal("0.01")
_FOUR_DIGITS = Decimal("0.0001")
_NANO = Decimal("1e-9")
_PLAIN_NAME = re.compile(r"[\w.:/@+#-]{1,100}")


def format_count(number: int, noun: str) -> str:
    """`1 request`, `1,204 requests`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_milliseconds(value: float) -> str:
    """A latency in whole milliseconds."""
    return f"{round(value):,} ms"


def format_percent(part: int | Decimal, whole: int | Decimal) -> str:
    """A share with one decimal; little is not rounded to nothing, nor almost all to all. `0 %` of nothing."""
    if not whole or not part:
        return "0 %"
    if part == whole:
        return "100 %"
    written = f"{100 * part / whole:.1f}"
    if written == "0.0":
        return "<0.1 %"
    return ">99.9 %" if written == "100.0" and part < whole else f"{written} %"


def format_dollars(amount: Decimal) -> str:
    """An amount to the cent, with four digits below a dime and nine where those would show nothing."""
    sign, size = "-" if amount < 0 else "", abs(amount)
    if size >= _DIME or size == 0:
        return f"{sign}${size.quantize(_CENT):,}"
    if size >= _FOUR_DIGITS:
        return f"{sign}${size.quantize(_FOUR_DIGITS)}"
    return f"{sign}${size.quantize(_NANO):f}"


def format_ratio(new: float, old: float) -> str:
    """How many times as much, with one decimal, or two below once as much; `old` is above 0."""
    ratio = new / old
    return f"{ratio:.1f} times" if ratio >= 1 else f"{ratio:.2f} times"


def format_time(value: datetime) -> str:
    """A UTC moment to the minute."""
    return f"{value:%Y-%m-%d %H:%M}"


def format_duration(span: timedelta) -> str:
    """A span in its two largest units."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"


def format_name(text: str) -> str:
    """A name that someone else gave: bare where it is spelled like one, else quoted."""
    return text if _PLAIN_NAME.fullmatch(text) else quote(text, limit=100)
