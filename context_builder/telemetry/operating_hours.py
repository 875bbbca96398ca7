"""Converts weekly operating hours in local time to UTC spans. Pure, except for reading time zones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from context_builder.text.formatting import format_name
from models import OperatingHours

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = timedelta(days=1)
_SCANNED_DAYS = 9
"""Local days scanned on either side of a moment: a week, and a margin for time zones."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class OpeningState:
    """Whether a site is open, since when and until when (UTC); None: more than a week away."""

    is_open: bool
    since: datetime | None
    until: datetime | None


class WeeklyHours:
    """The operating hours of one site; a site without any is always open."""

    def __init__(self, rows: Sequence[OperatingHours], zones: Mapping[str, ZoneInfo]) -> None:
        """Take the rows of the site; `zones` must have the time zone of every row."""
        self._rows = rows
        self._zones = zones

    def at(self, moment: datetime) -> OpeningState:
        """Return the site's state at a moment."""
        if not self._rows:
            return OpeningState(is_open=True, since=None, until=None)
        first, last = moment - 7 * _DAY, moment + 7 * _DAY
        spans = _merge(self._spans_around(moment))
        for start, end in spans:
            if start <= moment < end:
                return OpeningState(
                    is_open=True, since=start if start > first else None, until=end if end < last else None
                )
        closed = max((end for _, end in spans if end <= moment), default=None)
        opens = min((start for start, _ in spans if start > moment), default=None)
        return OpeningState(is_open=False, since=closed, until=opens)

    def _spans_around(self, moment: datetime) -> Iterable[Span]:
        for row in self._rows:
            zone = self._zones[row.time_zone]
            today = moment.astimezone(zone).date()
            for offset in range(-_SCANNED_DAYS, _SCANNED_DAYS + 1):
                day = today + timedelta(days=offset)
                if day.weekday() == row.weekday:
                    # An hour repeated by the clock counts twice: open from the first, until the second.
                    opens = _to_utc(day, row.opens_minute, zone, fold=0)
                    yield opens, _to_utc(day, row.closes_minute, zone, fold=1)

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def text(self) -> str:
        """The week in words: `Mon-Fri 08:00-18:00 Europe/Berlin`."""
        return ", ".join(
            f"{_format_week([row for row in self._rows if row.time_zone == zone])} {format_name(zone)}"
            for zone in sorted({row.time_zone for row in self._rows})
        )


def time_zones(names: Iterable[str]) -> dict[str, ZoneInfo]:
    """Load the known time zones among these names. Reads files: call it in a thread."""
    zones = {}
    for name in names:
        try:
            zones[name] = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # the latter two for invalid file names
            continue
    return zones


def _to_utc(day: date, minute: int, zone: ZoneInfo, *, fold: int) -> datetime:
    """Convert a minute of a local day to UTC; a minute skipped by the clock counts on from before."""
    local = datetime.combine(day + (minute // 1440) * _DAY, time(minute % 1440 // 60, minute % 60))
    return local.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _merge(spans: Iterable[Span]) -> list[Span]:
    """Merge spans that touch or overlap, and sort them."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif end > start:  # the clock may skip an entire span
            joined.append((start, end))
    return joined


def _format_week(rows: Iterable[OperatingHours]) -> str:
    """Return the week with equal consecutive days merged: `Mon-Thu 08:00-18:00, Fri 08:00-14:00`."""
    by_day: defaultdict[int, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.weekday, row.opens_minute)):
        by_day[row.weekday].append(f"{_format_minute(row.opens_minute)}-{_format_minute(row.closes_minute)}")
    parts: list[tuple[int, int, str]] = []
    for day, clocks in by_day.items():
        hours = " and ".join(clocks)
        if parts and parts[-1][1] == day - 1 and parts[-1][2] == hours:
            parts[-1] = (parts[-1][0], day, hours)
        else:
            parts.append((day, day, hours))
    return ", ".join(f"{_format_days(first, last)} {hours}" for first, last, hours in parts)


def _format_days(first: int, last: int) -> str:
    return _DAYS[first] if first == last else f"{_DAYS[first]}-{_DAYS[last]}"


def _format_minute(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
