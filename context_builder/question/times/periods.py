"""Days and periods of the calendar: dates, weekdays, months, quarters, weeks and parts of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from context_builder.question.request import Interval
from context_builder.question.times.atom import FIXED, YEAR, Atom, When
from context_builder.question.times.frame import DAY, Frame, NoSuchTime, day_of_year, start_of, step

_WEEK = timedelta(days=7)
_MONTH = timedelta(days=28)
_LEAP_CYCLE = 9
"""Years of which one has the 29th of February."""
MAX_PARTS = 400
"""Intervals of one mention: each day of a year, but not of ten."""


def no_time(reason: str) -> Atom:
    """Return the atom of a day that cannot be read."""

    def when(_frame: Frame) -> tuple[Interval, ...]:
        raise NoSuchTime(reason)

    return Atom("day", when=when)


def dated(year: int, month: int, day: int) -> Atom:
    """Return the atom of a date."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        start = day_of_year(year, month, day)
        return frame.span(start, start + DAY)

    return Atom("day", when=when)


def dates(month: int, first: int, last: int, year: int | None) -> Atom:
    """Return the atom of some days of a month; without a year the latest that began before the bound."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        bound = frame.local(frame.bound)
        problem = None
        for candidate in [year] if year else range(bound.year, max(bound.year - _LEAP_CYCLE, 0), -1):
            try:
                start, end = (day_of_year(candidate, month, day) for day in (first, last))
            except NoSuchTime as error:
                problem = error
                continue
            if year or start <= bound:
                return frame.span(start, end + DAY)
        raise problem or OverflowError

    return Atom("day" if first == last else "period", when=when, cycle=FIXED if year else YEAR)


def day_of_month(day: int) -> Atom:
    """Return the atom of `the 17th`: the latest such day."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        bound = frame.local(frame.bound)
        months = [step("month", start_of("month", bound), -back) for back in range(3)]
        starts = [start + (day - 1) * DAY for start in months]
        found = [each for each, month in zip(starts, months, strict=True) if each.month == month.month]
        start = next((each for each in found if each <= bound), None)
        if start is None:
            raise NoSuchTime(f"no month has a day {day}")
        return frame.span(start, start + DAY)

    return Atom("day", when=when, cycle=_MONTH)


def named(unit: str, number: int, year: int | None = None, *, is_past: bool = False) -> Atom:
    """Return the atom of a month, quarter, half or ISO week of a year, by default the latest that began.

    `is_past`: not the current one.
    """

    def start_in(candidate: int) -> datetime:
        first = day_of_year(candidate, 1, 4 if unit == "week" else 1)
        start = step(unit, start_of(unit, first), number - 1)
        middle = start + 3 * DAY
        if number < 1 or (middle.isocalendar().year if unit == "week" else middle.year) != candidate:
            raise NoSuchTime(f"{candidate} has no {unit} {number}")
        return start

    def when(frame: Frame) -> tuple[Interval, ...]:
        if year:
            start = start_in(year)
        else:
            bound = frame.local(frame.bound)
            latest = start_of(unit, bound) - DAY if is_past else bound
            # The first ISO week of a year may begin in the year before.
            years = range(min(bound.year + 1, 9999), max(bound.year - _LEAP_CYCLE, 0), -1)
            start = _latest(start_in, years, latest)
        return frame.span(start, step(unit, start, 1))

    return Atom("period", when=when, cycle=FIXED if year else YEAR)


def _latest(start_in: Callable[[int], datetime], years: range, bound: datetime) -> datetime:
    problem = None
    for year in years:
        try:
            start = start_in(year)
        except NoSuchTime as error:
            problem = error
            continue
        if start <= bound:
            return start
    raise problem or OverflowError


def whole_year(year: int) -> Atom:
    """Return the atom of a year."""
    return Atom("period", when=lambda frame: frame.span(day_of_year(year, 1, 1), day_of_year(year + 1, 1, 1)))


def weekday(number: int, weeks_before: int = 0) -> Atom:
    """Return the atom of a weekday, from Monday = 0: the latest, but not today, or some weeks before it."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        midnight = start_of("day", frame.local(frame.bound - timedelta(microseconds=1)))
        back = (midnight.weekday() - number) % 7 + 7 * weeks_before
        is_today = back == 0 and midnight == frame.today
        day = midnight - (7 if is_today else back) * DAY
        return frame.span(day, day + DAY)

    return Atom("day", when=when, cycle=_WEEK, days=frozenset({number}))


def day_back(days: int) -> Atom:
    """Return the atom of today, yesterday or another day counted from today."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        day = frame.today - days * DAY
        return frame.span(day, day + DAY)

    return Atom("day", when=when)


def unit_back(unit: str, back: int, *, ends_now: bool = False) -> Atom:
    """Return the atom of the current calendar unit, or one that is some units back."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        start = step(unit, start_of(unit, frame.local(frame.now)), -back)
        return frame.span(start, step(unit, start, 1))

    kind = {"day": "day", "hour": "moment", "minute": "moment"}.get(unit, "period")
    return Atom(kind, when=when, ends_now=ends_now)


def weekend(*, is_past: bool) -> Atom:
    """Return the atom of the latest weekend that began; `is_past`: that ended."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        back = (frame.today.weekday() - 5) % 7
        saturday = frame.today - (back + 7 * (is_past and back < 2)) * DAY  # noqa: PLR2004  on a weekend
        return frame.span(saturday, saturday + 2 * DAY)

    return Atom("period", when=when)


def week_of(day: Atom, *, only_weekend: bool) -> Atom:
    """Return the atom of the week, or the weekend, that a day lies in."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        monday = start_of("week", frame.local(day.at(frame)[0].start))
        return frame.span(monday + 5 * DAY * only_weekend, monday + 7 * DAY)

    return Atom("period", when=when, cycle=day.cycle)


def days_within(period: Atom, days: frozenset[int], nth: int = 0) -> Atom:
    """Return the atom of all days of a period with some weekdays, or of the nth of them; -1 is the last."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        found: list[Interval] = []
        for interval in period.at(frame):
            for midnight in midnights(interval, frame):
                if midnight.weekday() in days:
                    day = frame.span(midnight, midnight + DAY)[0]
                    found.append(Interval(max(day.start, interval.start), min(day.end, interval.end)))
        chosen = nth - 1 if nth > 0 else nth
        if not -len(found) <= chosen < len(found):
            raise NoSuchTime("the period has no such day")
        if nth:
            return (found[chosen],)
        return merged(found)

    return Atom(
        "day" if nth else "period", when=when, cycle=period.cycle, ends_now=period.ends_now, days=days
    )


def midnights(interval: Interval, frame: Frame) -> list[datetime]:
    """Return the local midnights that start the days of an interval.

    Raises:
        NoSuchTime: They are more than MAX_PARTS.
    """
    first, end = start_of("day", frame.local(interval.start)), frame.local(interval.end)
    if end - first > MAX_PARTS * DAY:
        raise NoSuchTime(f"names parts of more than {MAX_PARTS} days")
    days = -((first - end) // DAY)
    return [first + number * DAY for number in range(days)]


def merged(parts: list[Interval]) -> tuple[Interval, ...]:
    """Return the intervals in order, those that touch as one."""
    found: list[Interval] = []
    for part in sorted(parts):
        if found and part.start <= found[-1].end:
            found[-1] = Interval(found[-1].start, max(found[-1].end, part.end))
        else:
            found.append(part)
    return tuple(found)


def working_time(frame: Frame, days: frozenset[int], count: float) -> tuple[Interval, ...]:
    """Return the last so many times 24 hours of certain weekdays before now."""
    if count > MAX_PARTS:
        raise NoSuchTime(f"names more than {MAX_PARTS} days")
    left, end, found = count * DAY, frame.local(frame.now), []
    while left > timedelta(0):
        start = start_of("day", end - timedelta(microseconds=1))
        if start.weekday() in days:
            found.append(frame.span(max(start, end - left), end)[0])
            left -= end - start
        end = start
    return merged(found)


def part_of(whole: Atom, number: int, of: int) -> Atom:
    """Return the atom of a half or a third of a period, in whole months or days where it has enough."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        intervals = whole.at(frame)
        start, end = frame.local(intervals[0].start), frame.local(intervals[-1].end)
        cuts = [_cut(start, end, share, of) for share in (number, number + 1)]
        return frame.span(*cuts)

    return Atom("period", when=when, cycle=whole.cycle)


def _cut(start: datetime, end: datetime, share: int, of: int) -> datetime:
    months = (end.year - start.year) * 12 + end.month - start.month
    days = (end - start) // DAY
    if start.day == end.day == 1 and start.time() == end.time() and months % of == 0:
        return step("month", start, months // of * share)
    if share == of:
        return end
    return start + (days * share // of * DAY if days >= of else (end - start) * share / of)


def nth_of(whole: Atom, length: timedelta, unit: str, number: int) -> When:
    """Return the nth hours, days, ... of a time, the last if `number` is -1; whole units if named."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        intervals = whole.at(frame)
        start, end = frame.local(intervals[0].start), frame.local(intervals[-1].end)
        base = end if number < 0 else start
        steps = number if number < 0 else number - 1
        months = unit in ("month", "quarter", "year") and base.day == 1
        first = step(unit, base, steps) if months else base + steps * length
        last = step(unit, first, 1) if months else first + length
        if first >= end:
            raise NoSuchTime("the period has no such part")
        return frame.span(max(first, start), min(last, end))

    return when
