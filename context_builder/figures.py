"""How numbers, money and times are written in facts: one way, so that they can be checked. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_CENT = Decimal("0.01")


def count(number: int, noun: str) -> str:
    """`1 request`, `1,204 requests`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def milliseconds(value: float) -> str:
    """A latency in whole milliseconds."""
    return f"{round(value):,} ms"


def percent(part: int, whole: int) -> str:
    """A share with one decimal; `0 %` of nothing."""
    return "0 %" if not whole else f"{100 * part / whole:.1f} %"


def dollars(amount: Decimal) -> str:
    """An amount to the cent, or to four digits below a dime so that small spending shows."""
    if abs(amount) >= Decimal("0.1") or amount == 0:
        return f"${amount.quantize(_CENT):,}"
    return f"${amount.quantize(Decimal('0.0001'))}"


def times(new: float, old: float) -> str:
    """How many times as much, with one decimal."""
    return f"{new / old:.1f} times"


def moment(value: datetime) -> str:
    """A UTC moment to the minute."""
    return f"{value:%Y-%m-%d %H:%M}"


def duration(span: timedelta) -> str:
    """A span in its two largest units."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"
