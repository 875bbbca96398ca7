"""Times of day and parts of a day: what two ends of a range share, and how they join a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from context_builder.question.request import Interval
from context_builder.question.times.atom import Atom, Clock, Hours, When
from context_builder.question.times.calendar_words import filtered
from context_builder.question.times.frame import DAY, HOUR, Frame, NoSuchTime, start_of
from context_builder.question.times.grammar import Phrase, rule
from context_builder.question.times.periods import MAX_PARTS, day_back, midnights
from context_builder.question.times.relations import relate

_NOON = 12
_PARTS = ((0, 12), (12, 18), (18, 24), (18, 30))
"""Hours of morning, afternoon, evening and night, which ends on the next day."""
_PART_NAMES = ("morning", "afternoon", "evening", "night")
_NIGHT, _NIGHT_ENDS = 3, 6


def clock_of(atom: Atom) -> Clock:
    """Return the clock time of an atom, or of a bare number such as 9 or 1430."""
    if atom.clock:
        return atom.clock
    if atom.kind == "duration":  # 14h30
        return Clock(atom.length // HOUR, atom.length % HOUR)
    hour, minute = divmod(int(atom.number), 100) if atom.number > _NOON * 2 else (int(atom.number), 0)
    minute = minute if atom.number == int(atom.number) and minute < 60 else -1  # noqa: PLR2004
    return Clock(hour, timedelta(minutes=minute), may_share=True)


def at_clock(clock: Clock) -> Atom:
    """Return the atom of a time of day."""

    def hours() -> Hours:
        return Hours(clock.time_of_day(), clock.time_of_day())

    return Atom("clock", clock=clock, hours=hours, when=latest(hours), cycle=DAY)


def latest(hours: Callable[[], Hours], word: str = "") -> When:
    """Return the latest such part of a day, named `word`, that began before the bound."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        bound, part = frame.local(frame.bound), hours()
        _note_part(word, part, frame)
        today = start_of("day", bound)
        is_over = today + part.start < bound or (today + part.start == bound and part.start == part.end)
        return (part.on(today if is_over else today - DAY, frame),)

    return when


def _between(first: Clock, last: Clock, *, are_bare: bool) -> Callable[[], Hours]:
    """Return the hours from one time to another, past midnight if the second is not later."""

    def hours() -> Hours:
        start = _shared(first, last, is_start=True).time_of_day()
        end = _shared(last, first, is_start=False).time_of_day()
        if are_bare and end <= start <= end + _NOON * HOUR <= DAY:
            end += _NOON * HOUR  # from 9 to 5
        return Hours(start, end if end > start else end + DAY)

    return hours


def _shared(clock: Clock, other: Clock, *, is_start: bool) -> Clock:
    """Give a time the half of the day of the other end of its range, unless that turns the range around."""
    if not clock.may_share or not other.half or not 0 < clock.hour <= _NOON:
        return clock
    same = replace(clock, half=other.half)
    start, end = (same, other) if is_start else (other, same)
    fits = start.time_of_day() < end.time_of_day()
    return same if fits else replace(clock, half="p" if other.half == "a" else "a")


def _range(phrase: Phrase) -> Atom | None:
    """Read `between 2 and 4 pm`, `9am-11`, `from 9 to 5`; bare numbers need a day beside them."""
    first, last = phrase.every("clock number duration")
    joined = phrase.every("and to dash until before")
    opened = phrase.get("between from after since")
    if all(atom.kind == "and" for atom in joined) and not phrase.get("between"):
        return None
    if phrase.get("before") and (opened is None or opened.kind not in ("after", "since", "from")):
        return None
    clocks = [clock_of(atom) for atom in (first, last)]
    # Noon is 12 pm to a bare number only: 10:00 to midnight is no evening.
    clocks = [
        replace(clock, may_share=clock.may_share and (atom.clock is None or not other.word))
        for clock, atom, other in zip(clocks, (first, last), (last, first), strict=True)
    ]
    if any(
        clock.hour > _NOON * 2 for atom, clock in zip((first, last), clocks, strict=True) if not atom.clock
    ):
        return None
    if first.zone and last.zone and first.zone != last.zone:
        return None
    hours = _between(*clocks, are_bare=first.clock is None and last.clock is None)
    return _hours_atom(hours)


def _open(phrase: Phrase) -> Atom:
    """Read `after 18:00` beside a day as the rest of that day, `before 9` as what is before."""
    clock = phrase.one("clock")
    is_after = phrase.get("after since from") is not None
    alone = relate(phrase)

    def hours() -> Hours:
        at = clock_of(clock).time_of_day()
        return Hours(at, DAY) if is_after else Hours(timedelta(0), at)

    return Atom("open", hours=hours, when=alone.when)


def _named_part(phrase: Phrase) -> Atom:
    name = phrase.atoms[0]
    start, end = (hour * HOUR for hour in _PARTS[int(name.number)])
    word = _PART_NAMES[int(name.number)]
    kind = "hours" if name.kind == "overnight" else "part"
    return _hours_atom(lambda: Hours(start, end), kind=kind, number=name.number, word=word)


def _hours_atom(
    hours: Callable[[], Hours], *, kind: str = "hours", number: float = 0, word: str = ""
) -> Atom:
    """Return the atom of a part of any day; `word` names it if its hours are not plain."""
    return Atom(kind, number=number, word=word, hours=hours, when=latest(hours, word), cycle=DAY)


def _part(phrase: Phrase) -> Atom:
    """Read `in the afternoon`."""
    return replace(phrase.one("part"), kind="hours")


def _in_part(phrase: Phrase) -> Atom:
    """Read `evening between 7 and 9`, `2 to 4 in the afternoon`: times of the 12-hour clock."""
    part, inner = phrase.one("part"), phrase.one("hours clock")

    def hours() -> Hours:
        assert inner.hours is not None  # noqa: S101  the grammar sees to it
        found = inner.hours()
        start, length = found.start, found.end - found.start
        if part.number and start < _NOON * HOUR:
            is_past_midnight = part.number == _NIGHT and start < _NIGHT_ENDS * HOUR
            start += (24 if is_past_midnight else _NOON) * HOUR
            length %= _NOON * HOUR
        return Hours(start, start + length)

    return _hours_atom(hours, kind="part")


def _night_between(phrase: Phrase) -> Atom | None:
    """Read `the night of the 12th to the 13th`."""
    part = phrase.one("part")
    return on_day(phrase.one("day"), part) if part.number == _NIGHT else None


def _part_of_today(phrase: Phrase) -> Atom:
    """Read `this morning` or `last night`."""
    return on_day(day_back(0 if phrase.get("this") else 1), phrase.one("part"))


def _with_part(phrase: Phrase) -> Atom:
    """Read `8 this morning`, `21:00 yesterday evening`."""
    day = phrase.get("day period") or day_back(0 if phrase.get("this") else 1)
    return on_day(day, _in_part(phrase))


def _part_ago(phrase: Phrase) -> Atom:
    """Read `two nights ago` and `the night before last`."""
    number = phrase.get("number")
    return on_day(day_back(int(number.number) if number else 2), phrase.one("part"))


def _weak(phrase: Phrase) -> Atom | None:
    """Read `between 9 and 10`, which are times only if a day stands elsewhere."""
    found = _range(phrase)
    return replace(found, kind="weak") if found else None


def _filtered(phrase: Phrase) -> Atom:
    """Read `weekdays between 9 and 17 last week`."""
    return on_day(filtered(phrase), phrase.one("hours"))


def _past_hour(phrase: Phrase) -> Atom | None:
    """Read `half past nine`, `quarter to ten` and `twenty to nine`; `five to nine` are hours."""
    *before, hours = phrase.every("number")
    hour = int(hours.number)
    minutes = int(before[0].number) if before else 30 if phrase.get("half") else 15
    is_clear = minutes in (20, 25) or phrase.get("past") or minutes > hour
    if not 1 <= hour <= _NOON or minutes not in (5, 10, 15, 20, 25, 30) or (before and not is_clear):
        return None
    if phrase.get("to"):
        hour, minutes = (hour - 1 or _NOON), 60 - minutes
    return at_clock(Clock(hour, timedelta(minutes=minutes), may_share=True))


def _tonight(_phrase: Phrase) -> Atom:
    """Read the night of today; until 6 in the morning the one that is passing."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        is_passing = frame.local(frame.now).hour < _NIGHT_ENDS
        start = frame.today + (18 - 24 * is_passing) * HOUR
        return frame.span(start, start + 12 * HOUR)

    return Atom("moment", when=when)


def _in_the_part(phrase: Phrase) -> Atom | None:
    """Read `3 in the morning`."""
    number = phrase.one("number")
    clock = replace(clock_of(number), half="a" if phrase.one("part").number == 0 else "p")
    return at_clock(clock) if number.number <= _NOON else None


def on_day(day: Atom, hours: Atom) -> Atom:
    """Return the atom of a time of day on each day of a day or period."""

    def when(frame: Frame) -> tuple[Interval, ...]:
        assert hours.hours is not None  # noqa: S101  the grammar sees to it
        part = hours.hours()
        _note_part(hours.word, part, frame)
        found = []
        for interval in day.at(frame):
            parts = [part.on(midnight, frame) for midnight in midnights(interval, frame)]
            found += [each for each in parts if each.start < interval.end and each.end >= interval.start]
        if not 0 < len(found) <= MAX_PARTS:
            raise NoSuchTime(f"names {len(found) or 'no'} parts of days; at most {MAX_PARTS} are read")
        return tuple(found)

    return Atom("moment", when=when, cycle=day.cycle, zone=hours.zone or day.zone, ends_now=day.ends_now)


def _note_part(word: str, part: Hours, frame: Frame) -> None:
    if word in _PART_NAMES:
        frame.note(f"{word} is read as {part.start // HOUR:02}:00 to {part.end // HOUR % 24:02}:00")


def _join(phrase: Phrase) -> Atom:
    return on_day(phrase.one("day period"), phrase.one("clock hours open"))


def _bare(phrase: Phrase) -> Atom | None:
    """Read a number in the company of a day or a zone as a time of day."""
    number = phrase.one("number year")
    if number.number != int(number.number):
        return None
    built = at_clock(clock_of(number))
    return built if phrase.get("zone") or number.number <= _NOON * 2 else None


_TO = "and? [to dash until before and] [at the]?"
_NOT_COUNTED = "(?!UNIT|count|word|duration|MONTH)"

READ = (
    rule("[part overnight]", _named_part),
    rule("a? [half quarter] [past to] number", _past_hour),
    rule("(?<![from between]) number [past to] number", _past_hour),
    rule("clock", lambda phrase: replace(at_clock(clock_of(phrase.atoms[0])), word=phrase.atoms[0].word)),
    rule("number [at prep] the? part", _in_the_part),
    rule("NUM zone", _bare),
    rule("clock comma? prep? zone", lambda phrase: phrase.one("clock")),
)
"""Times of day."""
RANGES = (
    rule(f"[between from after since]? around? [clock number] {_TO} clock", _range),
    rule(f"[between from after since]? clock {_TO} number {_NOT_COUNTED}", _range),
    rule("(?<!change) [between from] number [and to dash until] number (?=GLUE [DAY part filter])", _range),
    rule("(?<!change) number [dash to] number (?=[DAY part])", _range),
    rule("[between from]? duration [and to dash until] duration (?=GLUE DAY)", _range),
    rule(f"(?<=[DAY part filter]) [between from]? number [and to dash until] number {_NOT_COUNTED}", _range),
    rule(f"(?<=[DAY part] comma) [between from] number [and to dash until] number {_NOT_COUNTED}", _range),
    rule(
        "(?<=[at since after before until from around]) number (?=comma? [prep during]? the? DAY|THIS part)",
        _bare,
    ),
    rule(f"(?<!change) between number and number (?!of) {_NOT_COUNTED}", _weak),
    rule("filter [of prep]? hours GLUE period", _filtered),
    rule(f"(?<=[DAY part] [at since after before until from]) number {_NOT_COUNTED}", _bare),
    rule("hours comma? prep? zone", lambda phrase: phrase.one("hours")),
)
"""Parts of a day; a bare number is a time of day only in the company of a time or a day."""
JOINS = (
    rule("(?:number part ago|part before last)", _part_ago),
    rule("[clock hours] GLUE (?:DAY possessive?|THIS) part", _with_part),
    rule("THIS part comma? [at prep]? [clock hours]", _with_part),
    rule("part comma? [at prep around]? the? [hours clock]", _in_part),
    rule("[hours clock] prep the? part", _in_part),
    rule("part [from of between] the? day [to and dash] the? day", _night_between),
    rule("THIS part", _part_of_today),
    rule("tonight", _tonight),
    rule("[prep at] the? part", _part),
    rule("part (?=GLUE DAY)", _part),
    rule("(?<=DAY) part", _part),
    rule("(?<=DAY possessive) part", _part),
    rule("DAY comma? [at prep]? around? clock", _join),
    rule("(?<![duration UNIT to]) [after before until] around? clock", _open),
    rule("(?<=DAY) [since from] around? clock (?![to dash until])", _open),
    rule("(?<=DAY comma) [since from] around? clock (?![to dash until])", _open),
    rule("[from between]? DAY possessive? GLUE [hours open]", _join),
    rule("[clock hours open] GLUE DAY", _join),
)
"""Times of day and days become one."""
