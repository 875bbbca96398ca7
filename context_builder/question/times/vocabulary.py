"""Words that have to do with time, and their kinds in the grammar."""

from __future__ import annotations

from datetime import timedelta

from context_builder.question.times.frame import DAY, HOUR

UNIT_LENGTHS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": HOUR,
    "day": DAY,
    "week": 7 * DAY,
    "fortnight": 14 * DAY,
    "month": 30 * DAY,
    "quarter": 91 * DAY,
    "year": 365 * DAY,
}
MONTHS = "january february march april may june july august september october november december"
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday"
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth"

_WORDS = {
    "a": "a an",
    "after": "after following",
    "ago": "ago back",
    "and": "and",
    "around": "around about circa near approximately roughly",
    "at": "at",
    "before": "before preceding",
    "between": "between",
    "change": (
        "rise rises rose risen fall falls fell fallen drop drops dropped go goes went gone grow grew grown "
        "jump jumped increase increased decrease decreased change changed scale scaled moved climbed"
    ),
    "count": (
        "requests request errors error tokens users calls incidents timeouts retries failures dollars usd "
        "times ms rpm rps tps qps deployments models regions customers percent"
    ),
    "date": "date",
    "earlier": "earlier",
    "during": "during throughout when while amid",
    "far": "far",
    "from": "from",
    "half": "half",
    "last": "last",
    "next": "next upcoming coming",
    "now": "now",
    "of": "of",
    "past": "past",
    "prep": "on in over for within",
    "previous": "previous prior",
    "since": "since starting",
    "so": "so",
    "the": "the",
    "this": "this current",
    "time": "time",
    "to": "to through thru",
    "tonight": "tonight",
    "until": "until till",
    "up": "up",
    "weekend": "weekend",
    "working": "working business work",
}
_NUMBERED: dict[str, dict[str, int]] = {
    "dayname": {"today": 0, "yesterday": 1, "tomorrow": -1},
    "edge": {"early": 0, "beginning": 0, "start": 0, "mid": 1, "middle": 1, "late": 2, "end": 2},
    "filter": {"weekdays": -1, "workdays": -1, "weekends": -2} | {
        f"{day}s": number for number, day in enumerate(WEEKDAYS.split())
    },
    "may": {"may": 5},
    "month": {month: n for n, month in enumerate(MONTHS.split(), 1) if month not in ("march", "may")},
    "number": {word: n for n, word in enumerate(_NUMBERS.split(), 1)} | {
        "couple": 2, "few": 3, "several": 3, "dozen": 12, "thirty": 30, "forty": 40, "fifty": 50,
        "sixty": 60, "ninety": 90, "forty-five": 45,
    },
    "ordinal": {word: n for n, word in enumerate(_ORDINALS.split(), 1) if word != "second"},
    "part": {
        part + plural: n
        for n, part in enumerate(("morning", "afternoon", "evening", "night"))
        for plural in ("", "s")
    },
    "overnight": {"overnight": 3},
    "second": {"second": 2},
    "shortmonth": {month[:3]: n for n, month in enumerate(MONTHS.split(), 1) if month != "may"} | {
        "march": 3, "sept": 9,
    },
    "shortweekday": {"sun": 6, "sat": 5, "mon": 0, "wed": 2},
    "weekday": {day: n for n, day in enumerate(WEEKDAYS.split())} | {
        "tue": 1, "tues": 1, "thu": 3, "thur": 3, "thurs": 3, "fri": 4,
    },
}  # fmt: skip

VOCABULARY: dict[str, tuple[str, str, float]] = {
    **{word: (kind, word, 0) for kind, words in _WORDS.items() for word in words.split()},
    **{word: (kind, word, n) for kind, words in _NUMBERED.items() for word, n in words.items()},
    **{
        unit + plural: ("quarter" if unit == "quarter" else "unit", unit, 0)
        for unit in UNIT_LENGTHS
        for plural in ("", "s")
        if unit + plural != "second"
    },
    **{word: ("unit", unit, 0) for word, unit in {
        "sec": "second", "secs": "second", "min": "minute", "mins": "minute", "hr": "hour", "hrs": "hour",
    }.items()},
    "noon": ("clock", "p", 0), "midday": ("clock", "p", 0), "midnight": ("clock", "a", 0),
    **{f"{unit[0]}td": ("todate", unit, 0) for unit in ("week", "month", "quarter", "year")},
}  # fmt: skip
"""Kind, the word in its basic form, and a number, of a word in lower case."""
