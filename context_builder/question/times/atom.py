"""Atoms: the typed parts that a text about time consists of, such as a weekday, a clock time or a zone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from context_builder.question.mention import TextSpan
from context_builder.question.request import Interval
from context_builder.question.times.frame import DAY, Frame, NoSuchTime
from context_builder.question.times.zones import Zone

When = Callable[[Frame], tuple[Interval, ...]]
"""Intervals in order; a point in time starts and ends at once."""

NOWHERE = TextSpan(0, 0)
"""Place of an atom that is still being made."""
FIXED = timedelta.max
"""Cycle of a time that does not recur."""
YEAR = timedelta(days=366)
_NOON = 12


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day as written; its half of the day may follow from the other end of a range."""

    hour: int
    past: timedelta = timedelta(0)
    half: str = ""
    """`a`, `p`, or empty: the 24-hour clock unless a range says otherwise."""
    may_share: bool = False
    """Whether it may take its half of the day from the other end of a range, as the 2 in `2 to 4 pm`."""

    def time_of_day(self) -> timedelta:
        """Return the time since midnight.

        Raises:
            NoSuchTime: There is no such time of day.
        """
        hour = self.hour
        valid = 0 < hour <= _NOON if self.half else timedelta(hours=hour) + self.past <= DAY
        if not valid or self.past < timedelta(0):
            half = f" {self.half}m" if self.half else f":{self.past.seconds // 60:02}"
            raise NoSuchTime(f"{hour}{half} is no time of day")
        if self.half:
            hour = hour % _NOON + _NOON * (self.half == "p")
        return timedelta(hours=hour) + self.past


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of any day, from and to times since its midnight; `end` may lie on the next day."""

    start: timedelta
    end: timedelta

    def on(self, midnight: datetime, frame: Frame) -> Interval:
        """Return the interval, or the point, on a local day."""
        return Interval(frame.utc(midnight + self.start), frame.utc(midnight + self.end))


@dataclass(frozen=True, slots=True)
class Atom:
    """A part of the text: a word, a number, or a time that rules built of several words."""

    kind: str
    """What it is to the grammar, one of `grammar.KINDS`."""
    span: TextSpan = NOWHERE
    word: str = ""
    """In lower case."""
    number: float = 0
    length: timedelta = timedelta(0)
    """Of a duration."""
    clock: Clock | None = None
    hours: Callable[[], Hours] | None = None
    """The part of a day that it restricts a day to; raises NoSuchTime."""
    days: frozenset[int] = frozenset()
    """The weekdays, from Monday = 0, that it restricts a period to."""
    when: When | None = None
    """Of a time: its intervals."""
    cycle: timedelta = FIXED
    """Of a time: after how long it recurs."""
    zone: Zone | None = None
    ends_now: bool = False
    """Of a time: whether it is relative, as `this week`, and ends at the moment asked about."""

    def at(self, frame: Frame) -> tuple[Interval, ...]:
        """Return the intervals of a time in its zone.

        Raises:
            NoSuchTime: It does not exist.
            OverflowError: It lies outside the years 1 to 9999.
        """
        assert self.when is not None, self.kind  # noqa: S101  the grammar sees to it
        return self.when(frame.within(self.zone) if self.zone else frame)
