"""Finds what a question holds, apart from how it was read, so that nothing is dropped in silence. Pure.

The patterns are broad on purpose, and know nothing of the readers: what they find and no reader used is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from context_builder.question.mention import TextSpan
from context_builder.question.times.zones import find_zone, zone_of_place

MAX_NOT_USED = 10
"""Parts told of one question."""
_MAX_WORDS_AFTER = 4
"""Words quoted after an operator that applies to nothing known."""

_WEEKDAY = r"(?:mon|tues?|wednes|thurs?|fri|satur|sun)days?(?:'s)?|(?:tue|wed|thu|fri|sat)(?= \d)"
_SHORT_DAY = r"(?:mon|tues?|wed|thu(?:rs?)?|fri|sat|sun)"
_LONG_MONTH = r"january|february|april|june|july|august|september|october|november|december"
_MONTH = rf"(?:{_LONG_MONTH}|march|may|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|w|y)"
_LONG_UNIT = r"(?:seconds?|minutes?|hours?|days?|weeks?|fortnights?|months?|quarters?|years?)"
_LENGTH = rf"(?:\d[\d.,]* ?{_UNIT}|(?:\d[\d.,]*|an?|half an?) {_LONG_UNIT})"
_NOW_OR_ANY = "this|last|past|previous|next|coming|the|whole|every|each|current"
_SPAN_BEFORE = "last|past|next|previous|first|within|for|over"
_NO_NOUN = (
    r"(?:in|on|at|for|of|we|they|it|is|are|was|were|did|do|does|the|this|that|these|those|what|why|who|which|how"
    r"|when|where|with|till|until|through|thru|before|after|and|or|but|only|i|you|our|my|an?|has|have|had|pls|plz"
    r"|please|yesterday|today|tonight|last|this|leading|prior|into|following|around|to|from|utc|gmt)\b"
    r"(?! \d+ [a-z])"
)
"""After a number: so that it counts nothing."""
_ENDS = rf"(?= {_NO_NOUN}|\W*$|[,.;:?!)])"
_HOUR = r"(?:(?:[01]?\d|2[0-4])(?:[0-5]\d)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_WHICH = r"(?:last|latest|previous|past|final|next|second|third|penultimate|\d(?:st|nd|rd|th))"
_EVENT = (
    r"(?:incident|outage|deploy(?:ment)?|release|rollout|shift|sprint|stand-?up|meeting|hand-?over|rotation|on-?call"
    r"|maintenance|freeze|cut-?over|migration|peak|spike|dip|surge|crash|restart|reboot|fail-?over|roll-?back|drill"
    r"|launch|demo|game|page|season|cycle|run)"
)
_TIMES = (
    rf"(?:{_WEEKDAY})|(?:the )?\d{{1,2}}(?:st|nd|rd|th)(?= {_NO_NOUN}|\W*$|[,.;:?!)])",
    rf"{_LONG_MONTH}|{_MONTH} \d{{1,4}}(?!\d)|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}",
    rf"(?:in|since|of|during|until|last|this|early|late|mid) {_MONTH}(?=\W|$)",
    r"(?:the day before )?yesterday|today|tonight|tomorrow|noon|midnight|overnight",
    rf"(?!the second\b)(?:{_NOW_OR_ANY}) (?:\w+ )?{_LONG_UNIT}(?:'s)?(?: (?:before|ago))?",
    r"(?:this|last|yesterday|every|the|\w+day) (?:mornings?|afternoons?|evenings?|nights?)",
    r"(?:every|each)(?= (?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|weekend|morning|evening|night)s?\b)",
    r"(?:just|right|shortly|immediately|a (?:bit|little|while))(?= (?:before|after))",
    rf"(?:(?<=today )|(?<=day )){_HOUR}{_ENDS}|\w+ (?:minutes?|hours?|days?) into",
    r"(?<!at )(?<!at the )same (?:time|hour|day|weekday|week|period|window)",
    rf"{_SHORT_DAY}(?=(?:,? |, ?|/|-)(?:and |or )?{_SHORT_DAY}\b)",
    r"later(?= (?:today|this|in the))|Q[5-9]|all[- ]time|ever since",
    r"(?:my|our|server|their|customer|US|EU|UK) time",
    r"(?:in|last|this|the|during|over) (?:spring|summer|autumn|winter)",
    r"(?:by|each|every) (?:second|minute|hour|day|week|month|quarter|year|weekday|night)",
    r"(?:\w+ )?\w+ ago",
    rf"(?:{_SPAN_BEFORE}) (?:the )?(?:\d[\d.,]* ?(?:{_UNIT}|{_LONG_UNIT})|\w+ {_LONG_UNIT})",
    r"(?:week|month|quarter|year) to date|[MQYW]TD|weekends?|weekdays?",
    r"(?:work|working|business) ?(?:days?|hours)",
    r"Q[1-4]|H[12]|(?:first|second|third|fourth|last|this) (?:quarter|half)|(?:week|CW|KW|W) ?\d{1,2}",
    r"\d{4}-W\d{2}|\d{4}-\d{2}(?:-\d{2}(?:[T ]\d{2}:\d{2}\S*)?)?|\d{1,2}/\d{1,2}(?:/\d{2,4})?",
    r"\d{1,2}\.\d{1,2}\.(?:\d{2,4})?|(?:in|of|since|during|for|year) (?:19|20)\d\d",
    r"\d{1,2}:\d{2}(?::\d{2})?(?: ?[ap]m)?|\d{1,2} ?[ap]m|\d{1,2} o'clock",
    r"(?:halloween|christmas|easter|thanksgiving|(?:black|good) friday|new year(?:'s)?)(?: eve| day)?",
    r"(?:recent|late)ly|the other day|earlier|soon|back then|just now|(?:since|until|by|before) then",
    rf"(?:since|from|between|until|till|before|after|at|around|about) (?:the )?{_HOUR}{_ENDS}",
    rf"(?:from|between) {_HOUR} ?(?:to|and|until|till|-) ?{_HOUR}{_ENDS}",
    rf"(?:in|over|for|within|during|the|some|about) (?:the )?{_LENGTH}{_ENDS}",
    rf"{_WHICH} (?:[a-z-]+ )?{_EVENT}(?:(?=['’]s)|(?!\w))",
    r"1[4-9]\d{8}(?:\d{3})?|[TD][-+]\d+(?: ?[a-z]+)?|FY ?\d{2}(?:\d{2})?|cyber monday|fiscal \w+",
    r"(?:month|quarter|year)[- ]end|EO[BDMQY]|COB|(?:start|close|end) of (?:business|day)|xmas|NYE",
    r"holidays?|(?:memorial|labou?r|boxing|prime|independence|bank) (?:day|holiday)|semesters?|decades?",
    r"mornings|afternoons|evenings|nights|lunch(?:time)?|breakfast|dinner|dawn|dusk|sun(?:rise|set)",
)
_TIME = re.compile(rf"(?<![\w./-])(?!24/7)(?:{'|'.join(_TIMES)})(?!\w)", re.IGNORECASE)
_ZONE = re.compile(r"(?<![\w/])(?:[A-Z][a-z]+(?:/[A-Z]\w+)+|UTC|[A-Z]{2,4}T)(?![\w/])")
_UNKNOWN_ZONE = re.compile(r"(?:\d:\d\d|\d ?[ap]m) (?P<zone>[A-Z]{2,4}T)\b")
_RELATION = re.compile(
    r"(?<![\w-])(?:since|until|till|during|before|after) (?!when\b|all\b)(?:the )?(?P<object>\w+)(?: \w+)?",
    re.IGNORECASE,
)
_IN_CITY = re.compile(r"\bin (?P<city>[A-Z][a-z]+(?: [A-Z][a-z]+)?)\b")
_HEALTHY = (
    r"(?:healthy|available|responding|responsive|working|running|up|ok|okay|reachable|ready|enough|normal|good|fine"
    r"|serving|online|right|resolved|closed|acknowledged|over|yet)"
)
_FILTERING_NOT = re.compile(
    rf"(?<=\w )(?:that|who|which|whose) [^,?.;:]{{0,24}}?(?<!\w)(?P<not>(?:\w+n't|not|never)(?! {_HEALTHY}\b)"
    r"(?: [\w/%.-]+){1,3})"
    r"|(?P<notonly>not (?:only|just)(?= \w))"
    r"|(?:^|(?<=[,;:(] ))(?P<only>only (?:for|in|on|from|with|by|if|where|those) [\w/-]+)"
    r"|(?<!\bis )(?<!\bare )(?<!\bwas )(?<!were )(?<!\bdo )(?<!does )(?<!\bdid )(?<!have )(?<!\bhas )"
    r"(?<=\w )(?P<bare>not (?:\w+ed|due|from|with|by|via|using)(?: [\w/%.-]+){1,2})",
    re.IGNORECASE,
)
_NEXT_WORDS = re.compile(rf"(?: [^\s,;:?!]+){{0,{_MAX_WORDS_AFTER}}}")
_LINK = re.compile(r"[\s,]*(?:(?:and|or|the|of|in|on|to|at|for)\b[\s,]*)*")


def times_in(text: str) -> Iterator[TextSpan]:
    """Yield what looks like a time."""
    return (TextSpan(*match.span()) for match in _TIME.finditer(text))


def relations_in(text: str) -> Iterator[tuple[TextSpan, TextSpan]]:
    """Yield what begins with a word such as `since` or `before`, and the first word that it applies to."""
    for match in _RELATION.finditer(text):
        yield TextSpan(*match.span()), TextSpan(*match.span("object"))


def cities_in(text: str) -> Iterator[TextSpan]:
    """Yield cities that have a time zone, as in "at 9:00 in Berlin"."""
    return (TextSpan(*match.span()) for match in _IN_CITY.finditer(text) if zone_of_place(match["city"]))


def zones_in(text: str) -> Iterator[TextSpan]:
    """Yield what stands after a time of day like a time zone, and names of zones."""
    yield from (TextSpan(*match.span("zone")) for match in _UNKNOWN_ZONE.finditer(text))
    yield from (TextSpan(*match.span()) for match in _ZONE.finditer(text) if find_zone(match[0]))


def filtering_negations_in(text: str) -> Iterator[TextSpan]:
    """Yield negations that restrict a noun, as in "requests that did not time out"."""
    return (TextSpan(*match.span(match.lastgroup or 0)) for match in _FILTERING_NOT.finditer(text))


def with_object(text: str, operator: TextSpan) -> TextSpan:
    """Return an operator with the words after it, up to the end of its clause."""
    match = _NEXT_WORDS.match(text, operator.end)
    return TextSpan(operator.start, match.end() if match else operator.end)


def overlaps(span: TextSpan, others: Iterable[TextSpan]) -> bool:
    """Return whether a span shares a character with one of the others."""
    return any(span.start < other.end and other.start < span.end for other in others)


def joined(text: str, spans: Iterable[TextSpan]) -> list[TextSpan]:
    """Return spans in order, those with only linking words between them as one."""
    result: list[TextSpan] = []
    for span in sorted(spans):
        if result and (span.start <= result[-1].end or _LINK.fullmatch(text, result[-1].end, span.start)):
            result[-1] = TextSpan(result[-1].start, max(span.end, result[-1].end))
        else:
            result.append(span)
    return result
