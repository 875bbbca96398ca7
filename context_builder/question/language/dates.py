"""Dates as other languages write them."""

from __future__ import annotations

from datetime import date

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_LEAP_YEAR = 2000
_LONGEST_MONTH = 31
_NTH = {"1": "first", "2": "second", "3": "third", "4": "fourth"}


def month(number: str) -> str | None:
    """Return the name of a month."""
    is_month = number.isdecimal() and 1 <= int(number) <= len(MONTHS)
    return MONTHS[int(number) - 1] if is_month else None


def month_and_year(year: str, number: str) -> str | None:
    """Return a month of a year."""
    name = month(number)
    return f"{name} {year}" if name else None


def day_of_year(year: str, number: str, day: str) -> str | None:
    """Return a day of a year."""
    return f"{day} {month_and_year(year, number)}" if month(number) else None


def day_of_month(number: str, day: str) -> str | None:
    """Return a day of any year; None if no year has it."""
    try:
        return f"{int(day)} {MONTHS[date(_LEAP_YEAR, int(number), int(day)).month - 1]}"
    except ValueError:
        return None


def nth(day: str) -> str | None:
    """Return a day of the month alone; its comma keeps it from counting what follows."""
    number = int(day) if day.isdecimal() else 0
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number // 10 != 1 else 0, "th")
    return f"the {number}{suffix}," if 1 <= number <= _LONGEST_MONTH else None


def from_to(first: str, last: str) -> str | None:
    """Return two days of the month as a range."""
    start, end = nth(first), nth(last)
    return f"from {start[:-1]} to {end}" if start and end else None


def part(number: str, what: str, whole: str) -> str | None:
    """Return the first or second half of a time, or the nth weekday of a period."""
    return f"{_NTH[number]} {what} of {whole}" if number in _NTH else None


def days(number: str, first: str, last: str) -> str | None:
    """Return two days of a month as a range."""
    name = month(number)
    return f"{first} {name} to {last} {name}" if name else None


def of_year(name: str, year: str) -> str | None:
    """Return a month or quarter of this year or of another one, as in `March of last year`."""
    is_month = name in MONTHS
    if not year.endswith(" year") or not (is_month or name.startswith("Q")):
        return None
    if year == "this year":
        return f"this {name}" if is_month else name
    return f"{name} of {year}"
