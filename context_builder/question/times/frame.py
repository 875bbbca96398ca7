"""The frame in which words about time are read: the moment asked about and a time zone."""

from __future__ import annotations

from calendar import month_name, monthrange
from dataclasses import dataclass, field, replace
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, tzinfo

from context_builder.errors import ContextBuilderError
from context_builder.question.request import Interval
from context_builder.question.times.zones import Zone

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_MONTHS = {"month": 1, "quarter": 3, "half": 6, "year": 12}
_SHORT = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": HOUR, "day": DAY}


class NoSuchTime(ContextBuilderError):
    """Words name no time, or none that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Turns local times, which are naive, into UTC; local is the zone that a question names."""

    now: datetime
    bound: datetime
    """What recurs, such as `Tuesday`, is the latest that began before this moment."""
    zone: tzinfo = UTC
    notes: list[str] = field(default_factory=list)
    """How times were understood where that is not plain; shared by all frames of a mention."""

    @property
    def today(self) -> datetime:
        """The local midnight before the moment asked about."""
        return start_of("day", self.local(self.now))

    def local(self, moment: datetime) -> datetime:
        """Return the local time of a moment."""
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def utc(self, local: datetime) -> datetime:
        """Return the moment of a local time: the first of two; in a gap as if clocks had not changed."""
        first = local.replace(tzinfo=self.zone)
        moment = first.astimezone(UTC)
        if first.utcoffset() != first.replace(fold=1).utcoffset():
            written, there = f"{local:%H:%M} on {local:%Y-%m-%d}", self.local(moment)
            if there == local:
                self.note(f"{written} exists twice in {self.zone}; the first is meant")
            else:
                self.note(
                    f"{written} does not exist in {self.zone}, where clocks go forward; read as {there:%H:%M}"
                )
        return moment

    def span(self, start: datetime, end: datetime) -> tuple[Interval, ...]:
        """Return the interval between two local times."""
        return (Interval(self.utc(start), self.utc(end)),)

    def note(self, text: str) -> None:
        """Remember how something was understood, once."""
        if text and text not in self.notes:
            self.notes.append(text)

    def within(self, zone: Zone) -> Frame:
        """Return the frame in another zone.

        Raises:
            NoSuchTime: There is no such zone.
        """
        if zone.rules is None:
            raise NoSuchTime(f"the time zone {zone.name} is not known; write for example UTC or +02:00")
        self.note(zone.note)
        return replace(self, zone=zone.rules)

    def until(self, bound: datetime) -> Frame:
        """Return the frame in which recurring times began before another moment."""
        return replace(self, bound=bound)


def start_of(unit: str, local: datetime) -> datetime:
    """Return the start of the minute, hour, day, week (Monday), month, quarter, half or year."""
    if unit in ("second", "minute", "hour"):
        return local - (local - datetime.min) % _SHORT[unit]  # noqa: DTZ901  local times are naive
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return midnight
    if unit == "week":
        return midnight - midnight.weekday() * DAY
    return midnight.replace(day=1, month=(midnight.month - 1) // _MONTHS[unit] * _MONTHS[unit] + 1)


def step(unit: str, start: datetime, count: int) -> datetime:
    """Return the same place in the calendar unit `count` units later, at the latest the last day of a month.

    Raises:
        OverflowError: It lies outside the years 1 to 9999.
    """
    if unit not in _MONTHS:
        return start + count * _SHORT.get(unit, 7 * DAY)
    months = start.year * 12 + start.month - 1 + count * _MONTHS[unit]
    year, month = divmod(months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        raise OverflowError(f"year {year}")
    return start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))


def day_of_year(year: int, month: int, day: int) -> datetime:
    """Return a date.

    Raises:
        NoSuchTime: There is no such date.
    """
    try:
        return datetime(year, month, day)  # noqa: DTZ001  local times are naive
    except ValueError:
        if not 1 <= month <= len(month_name) - 1:
            raise NoSuchTime(f"there is no month {month}") from None
        of_year = f" {year}" if (month, day) == (2, 29) else ""
        raise NoSuchTime(f"{day} {month_name[month]}{of_year} does not exist") from None
