"""Days and periods in words: `Nov 24 to 26`, `last Tuesday`, `third quarter`, `working days last week`."""

from __future__ import annotations

from dataclasses import replace

from context_builder.question.request import Interval
from context_builder.question.times import periods
from context_builder.question.times.atom import Atom
from context_builder.question.times.durations import ago
from context_builder.question.times.frame import DAY, Frame
from context_builder.question.times.grammar import Phrase, rule
from context_builder.question.times.vocabulary import UNIT_LENGTHS

_LAST_DAY = 31
_FILTERS = {-1: frozenset(range(5)), -2: frozenset({5, 6})}
_RECENT_DAYS = {-1: 7}
"""Over how many days working days reach without a period; weekends and the like over four weeks."""
_CALENDAR_UNITS = ("minute", "hour", "day", "week", "month", "quarter", "year")


def _year(phrase: Phrase) -> int | None:
    year = phrase.get("year")
    return int(year.number) if year else None


def _date(phrase: Phrase) -> Atom | None:
    """Read a day of a month, or several: `Nov 3`, `the 17th of November 2026`, `3-5 March`."""
    month = int(phrase.one("month shortmonth may").number)
    days = [int(atom.number) for atom in phrase.every("number ordinal second ordinalday")]
    joined = phrase.get("and")
    if not all(1 <= day <= _LAST_DAY for day in days) or (joined and not phrase.get("between")):
        return None
    if len(days) > 1 and days[0] > days[1]:
        return None
    return periods.dates(month, days[0], days[-1], _year(phrase))


def _some_dates(phrase: Phrase) -> Atom | None:
    """Read `Nov 17, 18 and 20`."""
    month, numbers = phrase.one("month shortmonth").number, phrase.every("number ordinal second ordinalday")
    days = [periods.dates(int(month), int(n.number), int(n.number), _year(phrase)) for n in numbers]
    if not all(1 <= number.number <= _LAST_DAY for number in numbers):
        return None

    def when(frame: Frame) -> tuple[Interval, ...]:
        return periods.merged([part for day in days for part in day.at(frame)])

    return Atom("period", when=when, cycle=days[0].cycle)


def _month(phrase: Phrase) -> Atom:
    month = phrase.one("month shortmonth may")
    return periods.named(
        "month", int(month.number), _year(phrase), is_past=phrase.get("last past") is not None
    )


def _named(phrase: Phrase) -> Atom:
    """Read `Q3 2025`, `third quarter`, `H1`, `KW47`, `week 47 of 2026`."""
    unit = phrase.get("named") or phrase.one("unit quarter half")
    number = phrase.get("named ordinal second number")
    count = int(number.number) if number else 0
    return periods.named(unit.word, count, _year(phrase))


def _week_number(phrase: Phrase) -> Atom | None:
    """Read `week 47` or `weeks 46 and 47`."""
    numbers = phrase.every("number")
    if phrase.one("unit").word != "week":
        return None
    weeks = [periods.named("week", int(number.number), _year(phrase)) for number in (numbers[0], numbers[-1])]

    def when(frame: Frame) -> tuple[Interval, ...]:
        return (Interval(weeks[0].at(frame)[0].start, weeks[1].at(frame)[0].end),)

    return replace(weeks[1], when=when)


def _fraction(phrase: Phrase) -> Atom | None:
    """Read `on 11/27` if only one of the numbers can be the month."""
    first, second = (int(part) for part in phrase.one("fraction").word.split("/"))
    if max(first, second) > _LAST_DAY or min(first, second) > 12:  # noqa: PLR2004  months
        return None
    if first == second or max(first, second) > 12:  # noqa: PLR2004  months
        return periods.dates(min(first, second), max(first, second), max(first, second), None)
    return periods.no_time(
        f"{first}/{second} may be day or month first; write the month as a word or in a full date"
    )


def _unit(phrase: Phrase) -> Atom | None:
    """Read `this week`, `last month`, `next year`, `the week before last`."""
    unit = phrase.every("unit quarter second")[-1]
    if unit.word not in _CALENDAR_UNITS:
        return None
    word = phrase.get("this last previous next")
    back = {"this": 0, "last": 1, "previous": 1, "next": -1}[word.kind] if word else 0
    back += phrase.get("before") is not None
    if phrase.get("to"):
        back = int(phrase.one("ordinal second next").number or 2)
    return periods.unit_back(unit.word, back, ends_now=word is not None and back == 0)


def _to_date(phrase: Phrase) -> Atom:
    return periods.unit_back(phrase.one("todate unit quarter").word, 0, ends_now=True)


def _day_name(phrase: Phrase) -> Atom:
    back = int(phrase.one("dayname").number) + (phrase.get("before") is not None)
    return periods.day_back(back)


def _weekday(phrase: Phrase) -> Atom:
    length = phrase.get("duration")
    weeks = round(length.length / UNIT_LENGTHS["week"]) if length else int(phrase.get("before") is not None)
    number = int(phrase.one("weekday shortweekday").number)
    if phrase.get("this") and not length:
        return _this_weekday(number)
    return periods.weekday(number, weeks)


def _this_weekday(number: int) -> Atom:
    """Return the weekday of this week, or the latest if that is still to come."""
    latest = periods.weekday(number)

    def when(frame: Frame) -> tuple[Interval, ...]:
        return periods.day_back(0).at(frame) if frame.today.weekday() == number else latest.at(frame)

    return Atom("day", when=when, cycle=latest.cycle, days=latest.days)


def _days(atom: Atom) -> frozenset[int]:
    return atom.days or _FILTERS.get(int(atom.number), frozenset({int(atom.number)}))


def filtered(phrase: Phrase) -> Atom:
    """Read `working days last week`, `Mondays in October`, `last week's Tuesday`, `first Monday of May`."""
    days = phrase.get("filter weekday shortweekday")
    wanted = _days(days) if days else _FILTERS[-2]
    nth = phrase.get("ordinal second") if phrase.get("of") else None
    last = -1 if phrase.atoms[0].kind == "last" else 0
    return periods.days_within(phrase.one("period"), wanted, int(nth.number) if nth else last)


def _weekdays(phrase: Phrase) -> Atom:
    """Read `Mon-Fri last week`."""
    first, last = (int(day.number) for day in phrase.every("weekday shortweekday"))
    days = frozenset((first + n) % 7 for n in range((last - first) % 7 + 1))
    return periods.days_within(phrase.one("period"), days)


def _filters_ago(phrase: Phrase) -> Atom | None:
    """Read `two Tuesdays ago` and `2 weekends ago`."""
    days, weeks = sorted(_days(phrase.one("filter"))), int(phrase.one("number").number) - 1
    if len(days) > 2 or weeks < 0:  # noqa: PLR2004  working days have no such meaning
        return None
    first = periods.weekday(days[0], weeks)
    return periods.week_of(first, only_weekend=True) if len(days) > 1 else first


def _filter(phrase: Phrase) -> Atom:
    """Read `working days` alone, or the last 3 of them."""
    days, number = phrase.one("filter"), phrase.get("number")
    wanted = _days(days)
    recent = _RECENT_DAYS.get(int(days.number), 28)

    def when(frame: Frame) -> tuple[Interval, ...]:
        if number:
            return periods.working_time(frame, wanted, number.number)
        frame.note(f"without a period, {days.word} are those of the last {recent} days")
        period = Atom("period", when=lambda each: (Interval(each.now - recent * DAY, each.now),))
        return periods.days_within(period, wanted).at(frame)

    return Atom("period", when=when, ends_now=True)


def _working_days(phrase: Phrase) -> Atom | None:
    if phrase.one("unit").word != "day":
        return None
    return Atom("filter", word="working days", number=-1)


def _last_working_day(phrase: Phrase) -> Atom | None:
    """Read `the last business day`; `the last business days` are those of the last days."""
    unit = phrase.one("unit")
    if unit.word != "day" or unit.span.end - unit.span.start > len(unit.word):
        return None
    week = Atom("period", when=lambda frame: frame.span(frame.today - 7 * DAY, frame.today))
    return periods.days_within(week, _FILTERS[-1], -1)


def _this_time(phrase: Phrase) -> Atom:
    """Read `this time yesterday`: the time of day that it is now."""
    day = phrase.one("day period")

    def when(frame: Frame) -> tuple[Interval, ...]:
        starts = [each.start + (frame.local(frame.now) - frame.today) for each in day.at(frame)]
        return tuple(Interval(start, start) for start in starts)

    return Atom("moment", when=when, zone=day.zone)


def _weekend(phrase: Phrase) -> Atom:
    return periods.weekend(is_past=phrase.get("last past previous") is not None)


def _week_of(phrase: Phrase) -> Atom | None:
    """Read `the week of Nov 9` and `the month of October`."""
    unit, time = phrase.one("unit weekend quarter"), phrase.one("day period")
    if time.kind == "day" and (unit.kind == "weekend" or unit.word == "week"):
        return periods.week_of(time, only_weekend=unit.kind == "weekend")
    return time if time.kind == "period" and unit.word in ("month", "quarter", "year") else None


def _edge(phrase: Phrase) -> Atom:
    """Read `early October`, `the end of last week`: thirds."""
    return periods.part_of(phrase.one("day period"), int(phrase.one("edge").number), 3)


def _half(phrase: Phrase) -> Atom:
    is_second = phrase.get("second last") is not None
    return periods.part_of(phrase.one("day period moment anchor"), int(is_second), 2)


def _first_or_last(phrase: Phrase) -> Atom:
    """Read `the first 2 hours of yesterday`, `the second week of October`, `the last day of Q3`."""
    length = phrase.every("duration unit second quarter")[-1]
    whole = phrase.one("day period moment anchor")
    nth = phrase.atoms[0]
    number = -1 if nth.kind == "last" else int(nth.number)
    unit = length.word if length.kind != "duration" and length.word in _CALENDAR_UNITS else ""
    kind = "period" if length.length >= DAY and whole.kind == "period" else "moment"
    return Atom(kind, when=periods.nth_of(whole, length.length, unit, number), cycle=whole.cycle)


def _keep(phrase: Phrase) -> Atom:
    return replace(phrase.one("day period"), ends_now=True)


def _whole_year(phrase: Phrase) -> Atom:
    return periods.whole_year(int(phrase.one("year").number))


def _day_of_month(phrase: Phrase) -> Atom:
    return periods.day_of_month(int(phrase.one("ordinalday").number))


_NTH = "the? NTH dot?"
_MONTH = "[month shortmonth] dot?"
_OF_YEAR = "(?:[comma of]? year)?"
_WEEKDAY = "(?:WEEKDAY comma?)?"

DATES = (
    rule(f"{_WEEKDAY} between? {_NTH} [to dash and] {_NTH} of? {_MONTH} {_OF_YEAR}", _date),
    rule(f"between? {_MONTH} the? NTH [to dash and until] the? NTH UNCOUNTED {_OF_YEAR}", _date),
    rule(f"{_MONTH} NTH (?:comma NTH){{0,4}} comma? and NTH UNCOUNTED {_OF_YEAR}", _some_dates),
    rule("number dash [month shortmonth] dash year", _date),
    rule(f"{_WEEKDAY} {_NTH} of? {_MONTH} {_OF_YEAR}", _date),
    rule(f"{_WEEKDAY} the? {_MONTH} the? NTH {_OF_YEAR}", _date),
    rule("may ordinalday", _date),
    rule("LEAD the? [number ordinalday] of? may year?", _date),
    rule("LEAD may [number ordinalday] (?:comma? year)?", _date),
    rule("(?<=[prep since after before until from]) fraction (?!of)", _fraction),
    rule("MONTH of? year", _month),
    rule("[last this past]? month", _month),
    rule("LEAD [shortmonth may]", _month),
    rule("shortmonth (?=[to dash] [MONTH period])", _month),
    rule("(?<=period [to dash]) MONTH", _month),
    rule("(?<=between period and) MONTH", _month),
    rule("year dash? named", _named),
    rule("named [dash slash comma of]? year", _named),
    rule("[last this]? named", _named),
    rule(
        "(?<![THIS next number a]) unit number (?:[and to dash] number)? UNCOUNTED (?:of? year)?",
        _week_number,
    ),
    rule("[ordinal second] [quarter half] of? year", _named),
    rule("[ordinal second] quarter", _named),
    rule("(?<=[during since before until after of from between and to]) year (?![UNIT count])", _whole_year),
    rule("prep year (?![UNIT count])", _whole_year),
)
"""Dates, months and what has a number in its year."""
RELATIVE = (
    rule("unit before dayname", _day_name),
    rule("dayname", _day_name),
    rule("UNIT before last", _unit),
    rule("[ordinal second next] to last [unit quarter]", _unit),
    rule("[unit quarter] to date", _to_date),
    rule("todate", _to_date),
    rule("[this last previous next] UNIT (?![of before])", _unit),
    rule("(?<=of) the [unit quarter]", _unit),
    rule("LAST working unit", _last_working_day),
    rule("working unit", _working_days),
    rule("number filter ago", _filters_ago),
    rule("LAST number filter", _filter),
    rule("WEEKDAY [dash to] WEEKDAY [of prep comma]? the? period", _weekdays),
    rule("period possessive? [prep comma]? WEEKDAY [dash to] WEEKDAY", _weekdays),
    rule("[ordinal second last] WEEKDAY of the? period", filtered),
    rule("duration ago [at prep]? WEEKDAY", _weekday),
    rule("WEEKDAY [at prep comma]? the? duration ago", _weekday),
    rule("duration ago", ago),
    rule("FILTER [comma of prep during]? the? period", filtered),
    rule("period possessive? [prep comma]? FILTER", filtered),
    rule("weekend [of prep] the? period", filtered),
    rule("THIS? weekend (?!of)", _weekend),
    rule("WEEKDAY before last", _weekday),
    rule("THIS? weekday", _weekday),
    rule("LEAD shortweekday", _weekday),
    rule("shortweekday (?=clock|[dash to and] [WEEKDAY day])", _weekday),
    rule("(?<=day [dash to and]) shortweekday", _weekday),
    rule(
        "(?<=[prep since after before until from between]) the? ordinalday (?![word UNIT count])",
        _day_of_month,
    ),
    rule("(?<=between day and) the? ordinalday (?![word UNIT count])", _day_of_month),
    rule("the ordinalday (?![word UNIT count time])", _day_of_month),
    rule("[ordinal last] duration of the? [day period anchor]", _first_or_last),
    rule("[ordinal second last] UNIT of the? [day period anchor]", _first_or_last),
    rule("[unit quarter weekend] of the? DAY", _week_of),
    rule("edge dash? of? the? DAY", _edge),
    rule("[ordinal second last] half of the? [day period anchor]", _half),
    rule("earlier DAY", _keep),
    rule("so far DAY", _keep),
    rule("DAY so far", _keep),
    rule("this time day", _this_time),
)
"""Days and periods counted from now, weekdays, and parts of periods."""
FILTERS = (rule("filter", _filter),)
"""After times of day, which may stand between weekdays and their period."""
