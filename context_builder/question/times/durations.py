"""Durations in words, such as `half an hour` or `a day and a half`, and what lies that long ago."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from context_builder.question.request import Interval
from context_builder.question.times.atom import Atom
from context_builder.question.times.bounds import subtract
from context_builder.question.times.frame import DAY, Frame, start_of
from context_builder.question.times.grammar import Phrase, rule
from context_builder.question.times.vocabulary import UNIT_LENGTHS

_MINUTE = timedelta(minutes=1)
_CALENDAR = ("week", "month", "quarter", "year")
"""Units of which the last is one of the calendar; the last hour is counted back from now."""


def duration(count: float, unit: str) -> Atom:
    """Return the atom of a duration; its `word` is the unit if it is a whole number of them."""
    try:
        length = count * UNIT_LENGTHS[unit]
    except OverflowError:
        length = timedelta.max
    return Atom("duration", length=length, word=unit if count == int(count) else "", number=count)


def _counted(phrase: Phrase) -> Atom:
    """Read `3 hours`, `an hour`, `a couple of days`, `half an hour`, `two and a half hours`."""
    number, half = phrase.get("number year"), phrase.get("half")
    count = number.number if number else 0 if phrase.atoms[0].kind == "half" else 1
    return duration(count + (0.5 if half else 0), phrase.one("unit second quarter").word)


def _quarters(phrase: Phrase) -> Atom:
    count = phrase.get("number")
    return duration((count.number if count else 1) / 4, phrase.every("unit second quarter")[-1].word)


def _sum(phrase: Phrase) -> Atom | None:
    """Read `1 hour and 30 minutes`, in falling units."""
    parts = phrase.every("duration")
    if any(later.length >= earlier.length for earlier, later in pairwise(parts)):
        return None
    return Atom("duration", length=sum((part.length for part in parts), timedelta(0)))


def _back(frame: Frame, length: Atom) -> Interval:
    """Return the day so many days, weeks or months ago, or the moment so many hours ago."""
    moment = subtract(frame.now, length.length)
    if length.word and UNIT_LENGTHS[length.word] >= DAY:
        day = start_of("day", frame.local(moment))
        return frame.span(day, day + DAY)[0]
    return Interval(moment, moment)


def ago(phrase: Phrase) -> Atom:
    """Read `3 days ago`, a day, and `2 hours ago`, a moment."""
    length = phrase.one("duration")
    is_day = length.word and UNIT_LENGTHS[length.word] >= DAY
    return Atom("day" if is_day else "moment", when=lambda frame: (_back(frame, length),))


def _between_ago(phrase: Phrase) -> Atom:
    """Read `between 3 and 5 hours ago`, in either order."""
    last = phrase.every("duration")[-1]
    number = phrase.get("number")
    lengths = (duration(number.number, last.word) if number else phrase.one("duration"), last)
    early, late = sorted(lengths, key=lambda length: -length.length)
    return Atom("moment", when=lambda frame: (Interval(_back(frame, early).start, _back(frame, late).end),))


def _rolling(phrase: Phrase) -> Atom | None:
    """Read `last 3 hours`, `past week`, `since 2 days` or `next 5 minutes`."""
    unit = phrase.get("unit second quarter")
    length = duration(1, unit.word) if unit else phrase.one("duration")
    if unit and (phrase.get("previous next") or (phrase.get("last") and unit.word in _CALENDAR)):
        return None  # a unit of the calendar
    span = max(length.length, _MINUTE)
    forward = phrase.get("next") is not None

    def when(frame: Frame) -> tuple[Interval, ...]:
        if forward:
            return (Interval(frame.now, subtract(frame.now, -span)),)
        return (Interval(subtract(frame.now, span), frame.now),)

    return Atom("moment" if span < DAY else "period", when=when, ends_now=not forward)


RULES = (
    rule("a? quarter of a UNIT", _quarters),
    rule("number and a half UNIT", _counted),
    rule("[a number]? UNIT and a half", _counted),
    rule("half a? dash? UNIT", _counted),
    rule("a? NUM of? dash? UNIT", _counted),
    rule("a UNIT", _counted),
    rule("between? [number duration] [and to dash] duration ago", _between_ago),
    rule("duration (?:comma? and? duration){1,3}", _sum),
    rule("since duration (?![ago before after around of])", _rolling),
    rule("[LAST next] [duration UNIT] (?=of [count word mask])", _rolling),
    rule("[LAST next] [duration UNIT] (?![of before after around count])", _rolling),
)
