"""The phrases of time, tier, exclusion and comparison, in languages that order them unlike English."""

from __future__ import annotations

import re
from functools import partial

from context_builder.question.language import clock, dates
from context_builder.question.language.atom import Kind
from context_builder.question.language.grammar import Reading, Rule
from context_builder.question.language.roles import phrase
from context_builder.question.language.scopes import EXCLUSIONS, SCOPES
from context_builder.question.language.zones import PLACED_ZONES, ZONES

_QUARTERS = range(1, 5)
_WEEKS = range(1, 54)
_DAY_HOURS = 24
_DAY_AND_CLOCK = re.compile(r"(.*[^\W\d])(?: at)? (\d{1,2}:\d{2}.*)")
_DAYS_OF_PARTS = {"this": "today", "yesterday": "yesterday", "last": "yesterday"}
"""The day of `this morning`, `yesterday evening`, `last night`."""


def _length(number: str, unit: str) -> str:
    return f"{number.replace(',', '.')} {unit}{'' if number == '1' else 's'}"


def _ago(number: str, unit: str) -> str:
    return f"{_length(number, unit)} ago"


def _last(last: str, number: str, unit: str) -> str:
    return f"{last} {_length(number, unit)}"


def _last_few(number: str, period: str) -> str | None:
    """Return `last 15 minutes` for `15 dernières minutes`."""
    return period.replace("few", number) if period.startswith("last few ") else None


def _since(number: str, unit: str) -> str:
    """Return when a state began that lasts that long: `depuis 3 jours`."""
    return f"since {_ago(number, unit)}"


def _since_hours(number: str) -> str | None:
    """Return when a state began that lasts that many hours; `depuis 9h` is a clock time."""
    return _since(number, "hour") if number.isdecimal() and int(number) >= _DAY_HOURS else None


def _numbered(number: str, unit: str) -> str | None:
    """Return a quarter or a week by its number."""
    if unit == "quarter" and number.isdecimal() and int(number) in _QUARTERS:
        return f"Q{number}"
    is_week = unit == "week" and number.isdecimal() and int(number) in _WEEKS
    return f"week {number}" if is_week else None


def _whole_hours(number: str, unit: str) -> str | None:
    return clock.clock(number) if unit == "hour" else None


def _hour_and_minute(hour: str, minute: str, unit: str) -> str | None:
    """Return a clock time whose minutes have two digits or their unit: `14 Uhr 5` is none."""
    return clock.clock(hour, minute) if len(minute) == len("05") or unit == "minute" else None


def _hour_and_past(hour: str, word: str, past: str) -> str | None:
    """Return a clock time with its minutes in words; `trois jours et demi` is none."""
    return clock.clock(hour, past) if word in ("", "hour", ":00") else None


def _part_and_clock(part: str, time: str) -> str | None:
    return _clock_and_part(time, part)


def _clock_and_part(time: str, part: str) -> str | None:
    whole = time if ":" in time else clock.clock(time)
    return clock.in_part_of_day(whole, part) if whole else None


def _part_and_range(part: str, lead: str, first: str, last: str) -> str | None:
    start, end = _clock_and_part(first, part), _clock_and_part(last, part)
    return start and end and clock.range_text(lead, start, end, first_known=True, last_known=True)


def _day_and_clock(day: str, time: str) -> str | None:
    """Return a clock time in a part of a day, which tells its half: `昨晚10点` is yesterday at 22:00."""
    name, _, part = {"tonight": "this night"}.get(day, day).partition(" ")
    if name not in _DAYS_OF_PARTS or not part:
        return None
    is_after_midnight = name == "last" and int(time.split(":", maxsplit=1)[0]) < clock.FIRST_NIGHT_HOUR
    named = "today" if is_after_midnight else _DAYS_OF_PARTS[name]
    return f"{named} {clock.in_part_of_day(time, part)}"


def _day_then_clock(time: str, relation: str) -> str | None:
    """Return a relation to a time of a day, which goes no further than that day: 金曜日の18時以降."""
    match = _DAY_AND_CLOCK.fullmatch(time)
    return f"{match[1]} {relation} {match[2]}" if match else None


def _before_and_after(event: str, same: str) -> str | None:
    """Return both sides of an event that is named twice: デプロイ前とデプロイ後."""
    return f"before and after {event}" if same in event else None


def _around_time_of_day(day: str) -> str | None:
    return f"around {day}" if day in ("noon", "midnight") else None


def _ago_both(*parts: str) -> str:
    """Return a sum of two lengths ago: `vor 3 Stunden und 20 Minuten`."""
    return f"{_length(*parts[:2])} and {_length(*parts[2:])} ago"


def _before(anchor: str, number: str, unit: str) -> str:
    return f"{_length(number, unit)} before {anchor}"


def _after(anchor: str, number: str, unit: str) -> str:
    return f"{_length(number, unit)} after {anchor}"


def _on_both_sides(anchor: str, number: str, unit: str) -> str:
    return f"{_length(number, unit)} before to after {anchor}"


def _event_of(day: str, event: str) -> str | None:
    """Return `Tuesday's release`; a date or timestamp is no adjective."""
    return f"{day}'s {event}" if day.isalpha() else None


def _at_number(at: str, number: str) -> str | None:
    """Return a bare number as a clock time: `um 9`."""
    time = clock.clock(number) if at not in ("on", "in", "during") else None
    return f"{at} {time}" if time else None


def _part_of_day(day: str, part: str) -> str | None:
    """Return a part of a day; a timestamp that has its clock time already is none."""
    return None if ":" in day else f"{'this' if day == 'today' else day} {part}"


def _clock_range(*, first_known: bool, last_known: bool) -> Reading:
    return partial(clock.range_text, first_known=first_known, last_known=last_known)


_DATES = (
    phrase("against(?=article?(?:clock|range|part|half_to|edge|number))", Kind.AT, "around"),
    phrase("against (day)", Kind.MOMENT, _around_time_of_day),
    phrase("(amount) year_mark (number) month_mark (number) day_mark", Kind.DAY, dates.day_of_year),
    phrase(
        "(number) month_mark (number) day_mark [until to dash start] (number) day_mark end?",
        Kind.RANGE,
        dates.days,
    ),
    phrase("(number) month_mark (number) day_mark", Kind.DAY, dates.day_of_month),
    phrase("(number) day_mark link? [until to dash start] (number) day_mark end?", Kind.RANGE, dates.from_to),
    phrase("(?<!last)(number) day_mark(?![start back within])", Kind.DAY, dates.nth),
    phrase("(amount) year_mark link? (number) month_mark", Kind.MONTH, dates.month_and_year),
    phrase("(number) month_mark", Kind.MONTH, dates.month),
    phrase(
        "(number) dot? [to until and dash] article? (number) dot? of? (any_month) of? (year_number)",
        Kind.RANGE,
        "{1} {3} {4} to {2} {3} {4}",
    ),
    phrase(
        "(number) dot? [to until and dash] article? (number) dot? of? (any_month)",
        Kind.RANGE,
        "{1} {3} to {2} {3}",
    ),
    phrase("(number) dot? of? (any_month) dot? of? (year_number)", Kind.DAY, "{1} {2} {3}"),
    phrase("(number) dot? of? (any_month)", Kind.DAY, "{1} {2}"),
    phrase("(any_month) of? (year_number)", Kind.MONTH, "{1} {2}"),
    phrase(
        "[of from between]? article? (number) dot [until to dash and word] article? (number) dot",
        Kind.RANGE,
        dates.from_to,
    ),
    phrase("[of from]? article? unit (number) to article? unit (number)", Kind.RANGE, dates.from_to),
    phrase("(?<=[at of])article (number) dot(?!length|weekday|edge)", Kind.DAY, dates.nth),
    phrase("(?<=at)(number) dot(?!length|weekday|edge)", Kind.DAY, dates.nth),
    phrase("article (number)(?=[comma punctuation]|$)", Kind.DAY, dates.nth),
    phrase(
        "(unit) (number)(?!length)", Kind.DAY, lambda unit, day: dates.nth(day) if unit == "day" else None
    ),
    phrase(
        "([of from between]) article? (day_month) [until to dash and start] article? (day_month) end?",
        Kind.RANGE,
        "from {2} to {3}",
    ),
    phrase("(day_month) (?:[until to dash]|start) article? (day_month) end?", Kind.RANGE, "from {1} to {2}"),
    phrase("(?<=ahead|[article weekday])(day_month)", Kind.DAY, "{1}"),
    phrase("(?<=weekday comma)(day_month)", Kind.DAY, "{1}"),
    phrase("(day_month) (?=[link particle start until end at from])", Kind.DAY, "{1}"),
    phrase("(?<=ahead)(month_short)", Kind.MONTH, "{1}"),
    phrase("[of from between] article? (range)", Kind.RANGE, "from {1}"),
)
_LENGTHS = (
    phrase("[before_or_ago ago] article? (amount) (length) and (amount) (length)", Kind.MOMENT, _ago_both),
    phrase("(amount) (length) (amount) (length) back", Kind.MOMENT, _ago_both),
    phrase("(happening) link? afterwards link? (amount) (length) within?", Kind.MOMENT, _after),
    phrase("(happening|name) link (amount) (length) back", Kind.MOMENT, _before),
    phrase("(happening) back (amount) (length)", Kind.MOMENT, _before),
    phrase("[before_or_ago ago] article? (amount) (length)", Kind.MOMENT, _ago),
    phrase("[before_or_ago ago] article? (duration)", Kind.MOMENT, "{1} ago"),
    phrase("(amount) (length) back", Kind.MOMENT, _ago),
    phrase("back (amount) (length)", Kind.PERIOD, partial(_last, "last")),
    phrase("(duration) back", Kind.MOMENT, "{1} ago"),
    phrase("the? (last) link? (amount) (length)", Kind.PERIOD, _last),
    phrase("the? (amount) (last) (length)", Kind.PERIOD, lambda n, last, unit: _last(last, n, unit)),
    phrase("(amount) (period)", Kind.PERIOD, _last_few),
    phrase("the? (last) (duration)", Kind.PERIOD, "{1} {2}"),
    phrase("(amount) (length) within", Kind.PERIOD, partial(_last, "last")),
    phrase("within of? article? (amount) (length)", Kind.PERIOD, partial(_last, "last")),
    phrase("(amount) (length) start", Kind.MOMENT, _since),
    phrase("since of? (amount) ([unit unit_short])", Kind.MOMENT, _since),
    phrase("since (amount) hour_letter", Kind.MOMENT, _since_hours),
)
_PERIODS = (
    phrase("[article particle]? ([number ordinal]) dot? (unit)", Kind.PERIOD, _numbered),
    phrase("(last) tomorrow", Kind.PERIOD, "{1} morning"),
    phrase(
        "article? ([ordinal number]) dot? (any_weekday) [of at] article? ([month period])",
        Kind.MOMENT,
        dates.part,
    ),
    phrase(
        "article? ([ordinal number]) dot? (edge) (?:of? article?) ([month period day])",
        Kind.MOMENT,
        dates.part,
    ),
    phrase(
        "([month period]) link? particle? ([ordinal number]) (weekday)",
        Kind.MOMENT,
        lambda whole, number, day: dates.part(number, day, whole),
    ),
    phrase("[article to]? (edge) of article? (unit)", Kind.MOMENT, "{1} of the {2}"),
    phrase("month_mark (edge)", Kind.MOMENT, "{1} of the month"),
    phrase(
        "(?<=[since until before_or_ago after maybe_after])([day weekday]) (event)", Kind.EVENT, _event_of
    ),
    phrase("([day weekday]) link? (event)(?=link?[afterwards back between start])", Kind.EVENT, _event_of),
    phrase(
        "(period) (last)",
        Kind.PERIOD,
        lambda period, last: f"{last} {period}" if period == "weekend" else None,
    ),
    phrase("(same) (?:of? article?)? ([day period weekday])", Kind.MOMENT, "{1} {2}"),
    phrase("([day period weekday]) link? [to at of]? article? (same)", Kind.MOMENT, "{2} {1}"),
    phrase("article? (last) link? ([unit weekday weekday_short month part])", Kind.PERIOD, "{1} {2}"),
    phrase("article? ([unit weekday weekday_short month part]) (last)", Kind.PERIOD, "{2} {1}"),
    phrase("([day weekday]) tomorrow", Kind.MOMENT, "{1} morning"),
    phrase("(unit) (number)", Kind.PERIOD, lambda unit, number: _numbered(number, unit)),
    phrase("([month period]) of? article? (period)", Kind.MOMENT, dates.of_year),
    phrase("(period) link? ([month period])", Kind.MOMENT, lambda year, name: dates.of_year(name, year)),
    phrase("(period) of? (year_number)", Kind.PERIOD, "{1} {2}"),
    phrase("(amount) year_mark link? (period)", Kind.PERIOD, "{2} {1}"),
    phrase("(period) link? (any_weekday)", Kind.MOMENT, "{2} of {1}"),
    phrase("(weekday) (?:of article?)? (period)", Kind.MOMENT, "{1} of {2}"),
    phrase("(?<=ahead)(weekday_short)", Kind.WEEKDAY, "{1}"),
    phrase("(weekday_short)(?=dot? number [hour_word hour_letter])", Kind.WEEKDAY, "{1}"),
    phrase(
        "(weekday_short)(?=[after before since until between clock_to] clock_article? [number clock])",
        Kind.WEEKDAY,
        "{1}",
    ),
    phrase(
        "[article to]? (edge) (?:of? article?) ([month period day year_number])", Kind.MOMENT, "{1} of {2}"
    ),
    phrase("([month period]) link? (edge)", Kind.MOMENT, "{2} of {1}"),
)
_CLOCKS = (
    phrase("(half_to) [before_or_ago before]? (number)", Kind.CLOCK, clock.before),
    phrase("(half_to) [maybe_after after] (number)", Kind.CLOCK, clock.after),
    phrase("(number) ([hour_word hour_letter unit]?) (past)", Kind.CLOCK, _hour_and_past),
    phrase("(number) [hour_word hour_letter] (number) ([unit unit_short]?)", Kind.CLOCK, _hour_and_minute),
    phrase("(number) [hour_word hour_letter]", Kind.CLOCK, clock.clock),
    phrase("(clock) hour_word", Kind.CLOCK, "{1}"),
    phrase("(number) (unit)(?=part)", Kind.CLOCK, _whole_hours),
    phrase("(?<=[until before after between at and to clock_to clock_article])(number) (unit)", Kind.CLOCK,
           _whole_hours),
    phrase("(number) (unit)(?=[to until dash] any_clock)", Kind.CLOCK, _whole_hours),
    phrase("(part) link? (clock)", Kind.HALF_DAY_CLOCK, _part_and_clock),
    phrase("(clock) (part)", Kind.HALF_DAY_CLOCK, _clock_and_part),
    phrase("(?<=[since until before after between at and to clock_to clock_article of])(number) (part)",
           Kind.HALF_DAY_CLOCK, _clock_and_part),
    phrase("(part) ([of from between]) article? clock_article? (hour) to_clock (clock)", Kind.RANGE,
           _part_and_range),
    phrase("lead (half_day_clock) to_clock (hour) end?", Kind.RANGE,
           _clock_range(first_known=True, last_known=False)),
    phrase("lead (hour) to_clock (half_day_clock) end?", Kind.RANGE,
           _clock_range(first_known=False, last_known=True)),
    phrase("lead (any_clock) to_clock (any_clock) end?", Kind.RANGE,
           _clock_range(first_known=True, last_known=True)),
    phrase("lead (hour) to_clock (clock) end?", Kind.RANGE,
           _clock_range(first_known=False, last_known=False)),
    phrase("([of from since between]) article? clock_article (number)"
           "(?:clock_to|[to until and] [clock_article article]) (number)", Kind.RANGE,
           _clock_range(first_known=False, last_known=False)),
    phrase("([of from since between]) article? (number) clock_to (number)", Kind.RANGE,
           _clock_range(first_known=False, last_known=False)),
    phrase("clock_to (number)(?!length)", Kind.CLOCK, clock.clock),
    phrase("(?<=[since until before after at and])clock_article (number)(?!length)", Kind.CLOCK, clock.clock),
    phrase("(since) article? ([day weekday moment]) [to clock_to at] article? (any_clock)", Kind.MOMENT,
           "{1} {2} {3}"),
    phrase("clock_article (any_clock)", Kind.CLOCK, "{1}"),
    phrase("([of from between]) (number) [until to dash and] (number)(?=at? article? [day weekday])",
           Kind.RANGE,
           _clock_range(first_known=False, last_known=False)),
    phrase("(?<=[day weekday period moment])([of from between]) (number) [until to dash and] (number)"
           "(?!length|named|[month word adjective tier_noun])",
           Kind.RANGE, _clock_range(first_known=False, last_known=False)),
    phrase("([at since until after before]) (number)"
           "(?!length|named|[month word tier tier_users tier_noun event past and])",
           Kind.MOMENT, _at_number),
    phrase("(day) [link to clock_to]? (clock)", Kind.MOMENT, _day_and_clock),
    phrase("(any_clock) particle", Kind.MOMENT, "at {1}"),
    phrase("(time) link (?=time)", Kind.MOMENT, "{1}"),
)  # fmt: skip
_RELATIONS = (
    phrase("(day) link? (part)", Kind.MOMENT, _part_of_day),
    phrase("[of from since] article? (times) dashes article? (times) end?", Kind.RANGE, "from {1} to {2}"),
    phrase("(times) start particle? (times) end?", Kind.RANGE, "from {1} to {2}"),
    phrase("(times) (?:dash|to(?!any_clock)) article? (times) end?", Kind.RANGE, "{1} to {2}"),
    phrase("[to clock_to] (any_clock) of article? ([day weekday])", Kind.MOMENT, "at {1} {2}"),
    phrase("([clock half_day_clock range moment]) of article? ([day weekday])", Kind.MOMENT, "{1} {2}"),
    phrase("(times) and (times) link? between", Kind.RANGE, "between {1} and {2}"),
    phrase("to ([period month])", Kind.PERIOD, "in {1}"),
    phrase("[to clock_to] (any_clock)", Kind.MOMENT, "at {1}"),
    *PLACED_ZONES,
    phrase("[at of from since until]? (times) link? (afterwards)", Kind.MOMENT, _day_then_clock),
    phrase("[at of]? (times) link? (back)", Kind.MOMENT, _day_then_clock),
    phrase("(anchor) link? before_and_after link? (amount) (length)", Kind.MOMENT, _on_both_sides),
    phrase("[before before_or_ago] [and punctuation] article? [after maybe_after] article?", Kind.BEFORE,
           "before and after"),
    phrase("[at of]? (happening) link? back and (happening) link? afterwards", Kind.MOMENT,
           _before_and_after),
    phrase("[at of]? (happening|name) link? back and afterwards", Kind.MOMENT, "before and after {1}"),
    phrase("[at of]? (happening|name) link? before_and_after", Kind.MOMENT, "before and after {1}"),
    phrase("[at of]? (times) link? before_and_after", Kind.MOMENT, "around {1}"),
    phrase("[at of from since until]? (anchor) link? (afterwards)", Kind.MOMENT, "{2} {1}"),
    phrase("(anchor) between", Kind.MOMENT, "during {1}"),
    phrase("([unit part]) [of from]? (range)", Kind.MOMENT, "{1} {2}"),
    phrase("[at of]? (anchor) link? back", Kind.MOMENT, "before {1}"),
    phrase("until (anchor) end", Kind.MOMENT, "until {1}"),
    phrase("(anchor) end", Kind.MOMENT, "until {1}"),
    phrase("[from since]? (anchor) link? start", Kind.MOMENT, "since {1}"),
    phrase("from (anchor)", Kind.MOMENT, "since {1}"),
    phrase("maybe_after article? (anchor)", Kind.MOMENT, "after {1}"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    *ZONES, *_DATES, *_LENGTHS, *_PERIODS, *EXCLUSIONS, *_CLOCKS, *_RELATIONS, *SCOPES,
)  # fmt: skip
"""In the order of their application: each builds on phrases that earlier ones found."""
