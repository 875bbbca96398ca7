"""Formats for numbers, money, times and names in facts: one each, so that answers can be checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from context_builder.text.sanitize import quote

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DIME, _CENT, _HUNDREDTH_CENT, _NANO = map(Decimal, ("0.1", "0.01", "0.0001", "1e-9"))
_PLAIN_NAME = re.compile(r"[\w.:/@+#-]{1,100}")


def format_count(number: int, noun: str) -> str:
    """Return a count with its noun: `1 request`, `1,204 requests`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_milliseconds(value: float) -> str:
    """Return a latency rounded to whole milliseconds."""
    return f"{round(value):,} ms"


def format_percent(part: int | Decimal, whole: int | Decimal) -> str:
    """Return a share with one decimal; only exact shares read `0 %` or `100 %`."""
    if not whole or not part:
        return "0 %"
    if part == whole:
        return "100 %"
    rounded = f"{100 * part / whole:.1f}"
    if rounded == "0.0":
        return "<0.1 %"
    return ">99.9 %" if rounded == "100.0" and part < whole else f"{rounded} %"


def format_dollars(amount: Decimal) -> str:
    """Return US dollars with 2 decimals, 4 below 10 cents, and 9 below a hundredth of a cent."""
    sign, size = "-" if amount < 0 else "", abs(amount)
    if size >= _DIME or size == 0:
        return f"{sign}${size.quantize(_CENT):,}"
    if size >= _HUNDREDTH_CENT:
        return f"{sign}${size.quantize(_HUNDREDTH_CENT)}"
    return f"{sign}${size.quantize(_NANO):f}"


def format_ratio(new: float, old: float) -> str:
    """Return `new / old` as `2.5 times`, with two decimals below 1. `old` must be positive."""
    ratio = new / old
    return f"{ratio:.1f} times" if ratio >= 1 else f"{ratio:.2f} times"


def format_time(value: datetime) -> str:
    """Return a UTC time to the minute."""
    return f"{value:%Y-%m-%d %H:%M}"


def format_duration(span: timedelta) -> str:
    """Return a time span in its two largest units; negative spans read `0 s`."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"


def format_name(text: str) -> str:
    """Return an untrusted name as is if it contains only name characters, else quoted."""
    return text if _PLAIN_NAME.fullmatch(text) else quote(text, limit=100)


def format_list(names: Sequence[str], most: int) -> str:
    """Return the first `most` names and the number of the others."""
    shown = ", ".join(format_name(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
