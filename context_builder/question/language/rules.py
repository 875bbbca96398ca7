"""The phrases of time, tier, exclusion and comparison, in languages that order them unlike English."""

from __future__ import annotations

from functools import partial

from context_builder.question.language import clock
from context_builder.question.language.atom import Kind
from context_builder.question.language.grammar import Reading, Rule, rule

_QUARTERS = range(1, 5)
_WEEKS = range(1, 54)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_DAY_HOURS = 24
_DAYS_OF_PARTS = {"this": "today", "yesterday": "yesterday", "last": "yesterday"}
"""The day of `this morning`, `yesterday evening`, `last night`."""

_SETS = {
    "amount": "[number year_number]",
    "length": "[unit unit_short hour_letter year_mark day_mark]",
    "any_month": "[month month_short]",
    "any_weekday": "[weekday weekday_short]",
    "any_clock": "[clock half_day_clock]",
    "hour": "[number clock]",
    "time": "[day tomorrow period weekday month moment range part clock half_day_clock]",
    "times": "time(?:link? time){0,3}",
    "happening": "(?:[last article]link?)?event{1,2}",
    "anchor": "(?:times|happening|name)",
    "noun": "(?:times|happening|name{1,3}|unknown|tier|tier_users|word)",
    "named": "(?:name{1,3}|unknown)",
    "nouns": "(?:named(?:[and comma]named){0,8}|times(?:[and comma]times){0,8}|noun)",
    "dashes": "[to clock_to until dash and start]",
    "the": "[article clock_article last]",
    "ahead": "[since until before before_or_ago after maybe_after between from at and to clock_to of]",
    "lead": "([of from since between]?) article? clock_article?",
    "to_clock": "[to clock_to until dash and start] article? clock_article?",
}


def _length(number: str, unit: str) -> str:
    return f"{number.replace(',', '.')} {unit}{'' if number == '1' else 's'}"


def _ago(number: str, unit: str) -> str:
    return f"{_length(number, unit)} ago"


def _last(last: str, number: str, unit: str) -> str:
    return f"{last} {_length(number, unit)}"


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


def _month(number: str) -> str | None:
    is_month = number.isdecimal() and 1 <= int(number) <= len(_MONTHS)
    return _MONTHS[int(number) - 1] if is_month else None


def _month_and_year(year: str, month: str) -> str | None:
    name = _month(month)
    return f"{name} {year}" if name else None


def _date(year: str, month: str, day: str) -> str | None:
    return f"{day} {_month_and_year(year, month)}" if _month(month) else None


def _month_day(month: str, day: str) -> str | None:
    return f"{day} {_month(month)}" if _month(month) else None


def _days(month: str, first: str, last: str) -> str | None:
    return f"{first} {_month(month)} to {last} {_month(month)}" if _month(month) else None


def _whole_hours(number: str, unit: str) -> str | None:
    return clock.clock(number) if unit == "hour" else None


def _hour_and_minute(hour: str, minute: str, unit: str) -> str | None:
    """Return a clock time whose minutes have two digits or their unit: `14 Uhr 5` is none."""
    return clock.clock(hour, minute) if len(minute) == len("05") or unit == "minute" else None


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


def _part_of_day(day: str, part: str) -> str:
    return f"{'this' if day == 'today' else day} {part}"


def _clock_range(*, first_known: bool, last_known: bool) -> Reading:
    return partial(clock.range_text, first_known=first_known, last_known=last_known)


def _rule(pattern: str, kind: Kind, becomes: str | Reading) -> Rule:
    return rule(pattern, kind, becomes, _SETS)


_DATES = (
    _rule("(amount) year_mark (number) month_mark (number) day_mark", Kind.DAY, _date),
    _rule(
        "(number) month_mark (number) day_mark [until to dash start] (number) day_mark end?",
        Kind.RANGE,
        _days,
    ),
    _rule("(number) month_mark (number) day_mark", Kind.DAY, _month_day),
    _rule("(amount) year_mark link? (number) month_mark", Kind.MONTH, _month_and_year),
    _rule("(number) month_mark", Kind.MONTH, _month),
    _rule(
        "(number) dot? [to until and dash] article? (number) dot? of? (any_month) of? (year_number)",
        Kind.RANGE,
        "{1} {3} {4} to {2} {3} {4}",
    ),
    _rule(
        "(number) dot? [to until and dash] article? (number) dot? of? (any_month)",
        Kind.RANGE,
        "{1} {3} to {2} {3}",
    ),
    _rule("(number) dot? of? (any_month) dot? of? (year_number)", Kind.DAY, "{1} {2} {3}"),
    _rule("(number) dot? of? (any_month)", Kind.DAY, "{1} {2}"),
    _rule("(any_month) of? (year_number)", Kind.MONTH, "{1} {2}"),
    _rule("(?<=ahead)(month_short)", Kind.MONTH, "{1}"),
    _rule("[of from between] article? (range)", Kind.RANGE, "from {1}"),
)
_LENGTHS = (
    _rule("[before_or_ago ago] article? (amount) (length)", Kind.MOMENT, _ago),
    _rule("[before_or_ago ago] article? (duration)", Kind.MOMENT, "{1} ago"),
    _rule("(amount) (length) back", Kind.MOMENT, _ago),
    _rule("(duration) back", Kind.MOMENT, "{1} ago"),
    _rule("the? (last) link? (amount) (length)", Kind.PERIOD, _last),
    _rule("the? (amount) (last) (length)", Kind.PERIOD, lambda n, last, unit: _last(last, n, unit)),
    _rule("the? (last) (duration)", Kind.PERIOD, "{1} {2}"),
    _rule("(amount) (length) within", Kind.PERIOD, partial(_last, "last")),
    _rule("within of? article? (amount) (length)", Kind.PERIOD, partial(_last, "last")),
    _rule("(amount) (length) start", Kind.MOMENT, _since),
    _rule("since of? (amount) ([unit unit_short])", Kind.MOMENT, _since),
    _rule("since (amount) hour_letter", Kind.MOMENT, _since_hours),
)
_PERIODS = (
    _rule("[article particle]? ([number ordinal]) dot? (unit)", Kind.PERIOD, _numbered),
    _rule("(last) tomorrow", Kind.PERIOD, "{1} morning"),
    _rule("article? (last) link? ([unit weekday weekday_short month part])", Kind.PERIOD, "{1} {2}"),
    _rule("article? ([unit weekday weekday_short month part]) (last)", Kind.PERIOD, "{2} {1}"),
    _rule("([day weekday]) tomorrow", Kind.MOMENT, "{1} morning"),
    _rule("(unit) (number)", Kind.PERIOD, lambda unit, number: _numbered(number, unit)),
    _rule("(period) of? (year_number)", Kind.PERIOD, "{1} {2}"),
    _rule("(amount) year_mark link? (period)", Kind.PERIOD, "{2} {1}"),
    _rule("(period) link? (any_weekday)", Kind.MOMENT, "{2} of {1}"),
    _rule("(weekday) (?:of article?)? (period)", Kind.MOMENT, "{1} of {2}"),
    _rule("(?<=ahead)(weekday_short)", Kind.WEEKDAY, "{1}"),
    _rule("(weekday_short)(?=dot? number [hour_word hour_letter])", Kind.WEEKDAY, "{1}"),
    _rule(
        "[article to]? (edge) (?:of? article?) ([month period day year_number])", Kind.MOMENT, "{1} of {2}"
    ),
    _rule("([month period]) link? (edge)", Kind.MOMENT, "{2} of {1}"),
)
_CLOCKS = (
    _rule("half_to (number)", Kind.CLOCK, clock.half_to),
    _rule("(number) [hour_word hour_letter]? (past)", Kind.CLOCK, clock.clock),
    _rule("(number) [hour_word hour_letter] (number) (unit?)", Kind.CLOCK, _hour_and_minute),
    _rule("(number) [hour_word hour_letter]", Kind.CLOCK, clock.clock),
    _rule("(clock) hour_word", Kind.CLOCK, "{1}"),
    _rule("(number) (unit)(?=part)", Kind.CLOCK, _whole_hours),
    _rule("(?<=[until before after between at and to clock_to clock_article])(number) (unit)", Kind.CLOCK,
          _whole_hours),
    _rule("(number) (unit)(?=[to until dash] any_clock)", Kind.CLOCK, _whole_hours),
    _rule("(part) link? (clock)", Kind.HALF_DAY_CLOCK, _part_and_clock),
    _rule("(clock) (part)", Kind.HALF_DAY_CLOCK, _clock_and_part),
    _rule("(?<=[since until before after between at and to clock_to clock_article of])(number) (part)",
          Kind.HALF_DAY_CLOCK, _clock_and_part),
    _rule("(part) ([of from between]) article? clock_article? (hour) to_clock (clock)", Kind.RANGE,
          _part_and_range),
    _rule("lead (half_day_clock) to_clock (hour) end?", Kind.RANGE,
          _clock_range(first_known=True, last_known=False)),
    _rule("lead (hour) to_clock (half_day_clock) end?", Kind.RANGE,
          _clock_range(first_known=False, last_known=True)),
    _rule("lead (any_clock) to_clock (any_clock) end?", Kind.RANGE,
          _clock_range(first_known=True, last_known=True)),
    _rule("lead (hour) to_clock (clock) end?", Kind.RANGE, _clock_range(first_known=False, last_known=False)),
    _rule("([of from since between]) article? clock_article (number) (?:clock_to|[to until and] clock_article"
          ") (number)", Kind.RANGE, _clock_range(first_known=False, last_known=False)),
    _rule("([of from since between]) article? (number) clock_to (number)", Kind.RANGE,
          _clock_range(first_known=False, last_known=False)),
    _rule("clock_to (number)(?!length)", Kind.CLOCK, clock.clock),
    _rule("(?<=[since until before after at and])clock_article (number)(?!length)", Kind.CLOCK, clock.clock),
    _rule("clock_article (any_clock)", Kind.CLOCK, "{1}"),
    _rule("(day) link? (clock)", Kind.MOMENT, _day_and_clock),
    _rule("(any_clock) particle", Kind.MOMENT, "at {1}"),
    _rule("(time) link (?=time)", Kind.MOMENT, "{1}"),
)  # fmt: skip
_RELATIONS = (
    _rule("(day) link? (part)", Kind.MOMENT, _part_of_day),
    _rule("[of from since] article? (times) dashes article? (times) end?", Kind.RANGE, "from {1} to {2}"),
    _rule("(times) start particle? (times) end?", Kind.RANGE, "from {1} to {2}"),
    _rule("(times) (?:dash|to(?!any_clock)) article? (times) end?", Kind.RANGE, "{1} to {2}"),
    _rule("[to clock_to] (any_clock) of article? ([day weekday])", Kind.MOMENT, "at {1} {2}"),
    _rule("([clock half_day_clock range moment]) of article? ([day weekday])", Kind.MOMENT, "{1} {2}"),
    _rule("(times) and (times) link? between", Kind.RANGE, "between {1} and {2}"),
    _rule("to ([period month])", Kind.PERIOD, "in {1}"),
    _rule("[to clock_to] (any_clock)", Kind.MOMENT, "at {1}"),
    _rule("[at of from since until]? (anchor) link? (afterwards)", Kind.MOMENT, "{2} {1}"),
    _rule("(anchor) between", Kind.MOMENT, "during {1}"),
    _rule("[at of]? (anchor) link? back", Kind.MOMENT, "before {1}"),
    _rule("until (anchor) end", Kind.MOMENT, "until {1}"),
    _rule("(anchor) end", Kind.MOMENT, "until {1}"),
    _rule("[from since]? (anchor) start", Kind.MOMENT, "since {1}"),
    _rule("from (anchor)", Kind.MOMENT, "since {1}"),
    _rule("maybe_after article? (anchor)", Kind.MOMENT, "after {1}"),
)
_SCOPES = (
    _rule("(tier) dash? (and) (tier) [dash link]? (tier_noun)", Kind.TIER_USERS, "{1} {2} {3} {4}"),
    _rule("(tier) [dash link]? (tier_noun)", Kind.TIER_USERS, "{1} {2}"),
    _rule("(tier_noun) (tier) (and) (tier)", Kind.TIER_USERS, "{2} {3} {4} {1}"),
    _rule("(tier_noun) (?:of article?)? not dash? (tier)", Kind.TIER_USERS, "non-{2} {1}"),
    _rule("(tier_noun) (?:of article?)? (tier)", Kind.TIER_USERS, "{2} {1}"),
    _rule("not dash? ([tier tier_users])", Kind.TIER_USERS, "non-{1}"),
    _rule("except (nouns) link? except_after", Kind.WORD, "except {1}"),
    _rule("(nouns) link? except_after", Kind.WORD, "except {1}"),
    _rule("(noun) and (noun) particle? compare", Kind.WORD, "compare {1} to {2}"),
    _rule("compare article? (noun) [and with] article? (noun)", Kind.WORD, "compare {1} to {2}"),
    _rule("and (noun) compared(?!noun)", Kind.WORD, "compared to {1}"),
    _rule("[and with]? (noun) link? compared_after", Kind.WORD, "compared to {1}"),
    _rule("(more (?:[word unknown of article tier_users]{0,3})) than", Kind.WORD, "{1} than"),
)
RULES: tuple[Rule, ...] = (*_DATES, *_LENGTHS, *_PERIODS, *_CLOCKS, *_RELATIONS, *_SCOPES)
"""In the order of their application: each builds on phrases that earlier ones found."""
