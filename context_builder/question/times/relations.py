"""Words that relate one time to another or to now: since, before, until, between, the hour after."""

from __future__ import annotations

from datetime import timedelta

from context_builder.question.request import Interval
from context_builder.question.times.atom import YEAR, Atom
from context_builder.question.times.bounds import DEFAULT_LENGTH, MIN_TIME, subtract
from context_builder.question.times.frame import DAY, Frame, NoSuchTime
from context_builder.question.times.grammar import Phrase, rule

_NO_START = "the question names no start, so it is read as the 24 hours that end there"
_TIMES = "day period moment hours clock anchor"


def relate(phrase: Phrase) -> Atom:
    """Return the atom of `since`, `after`, `before` or `until` a time.

    What is before or until a time are the DEFAULT_LENGTH that end there.
    """
    time, word = phrase.one(_TIMES + " mention"), phrase.one("since from after before until up previous").kind

    def when(frame: Frame) -> tuple[Interval, ...]:
        parts = time.at(frame)
        start, end = parts[0].start, parts[-1].end
        if word in ("before", "previous", "until", "up"):
            frame.note(_NO_START)
        if word in ("before", "previous"):
            return (Interval(subtract(start, DEFAULT_LENGTH), start),)
        if word in ("until", "up"):
            return (Interval(subtract(min(end, frame.now), DEFAULT_LENGTH), end),)
        return (Interval(end if word == "after" else start, frame.now),)

    return Atom("mention", when=when)


def _from_to(phrase: Phrase) -> Atom | None:
    """Read from the start of the first time to the end of the second."""
    first, last = phrase.every(_TIMES + " now")
    if phrase.get("and") and not phrase.get("between") and not phrase.get("before until to"):
        return None

    def when(frame: Frame) -> tuple[Interval, ...]:
        if last.cycle in (DAY, YEAR) and last.cycle < first.cycle:
            # 14:00 to 15:00 are of one day, March 2025 to May of one year.
            start = first.at(frame)[0].start
            end = last.at(frame.until(start + last.cycle))[-1].end
        else:
            parts = last.at(frame)
            start, end = first.at(frame.until(parts[0].start))[0].start, parts[-1].end
        if start >= end:
            raise NoSuchTime("the range ends before it starts")
        return (Interval(start, end),)

    return Atom("mention", when=when, cycle=first.cycle)


def _beside(phrase: Phrase) -> Atom:
    """Read `the hour before`, `90 minutes after`, `within an hour of` and `20 minutes around` a time."""
    length, time = phrase.one("duration unit second quarter").length, phrase.one(_TIMES + " mention")
    words = {atom.kind for atom in phrase.every("before after around of")}

    def when(frame: Frame) -> tuple[Interval, ...]:
        parts = time.at(frame)
        start, end = parts[0].start, parts[-1].end
        if "around" not in words:
            before = end if words == {"after"} else subtract(start, length)
            after = start if words == {"before"} else subtract(end, -length)
            return (Interval(before, after),)
        middle = start + (end - start) / 2
        return (Interval(subtract(middle, length / 2), subtract(middle, -length / 2)),)

    return Atom("mention", when=when)


def _now(_phrase: Phrase) -> Atom:
    return Atom("now", when=lambda frame: (Interval(frame.now, frame.now),))


def _epoch(phrase: Phrase) -> Atom:
    """Read seconds or milliseconds since 1970."""
    number = phrase.atoms[0].number
    seconds = number / 1000 if number >= 10**12 else number
    at = subtract(MIN_TIME, timedelta(seconds=-seconds))
    return Atom("moment", when=lambda _frame: (Interval(at, at),))


def _first(phrase: Phrase) -> Atom:
    return phrase.atoms[0]


def _last(phrase: Phrase) -> Atom:
    return phrase.atoms[-1]


def _during(phrase: Phrase) -> Atom:
    anchor = phrase.one("anchor")
    return Atom("mention", when=anchor.when)


def _chosen(phrase: Phrase) -> Atom | None:
    return _during(phrase) if phrase.one("anchor").word else None


_OPENED = "[from since after between]? around? the?"
RULES = (
    rule("(?<=[at since after before until from between and to around slash]) epoch", _epoch),
    rule("now", _now),
    rule("[day period moment clock] comma? prep? zone", _first),
    rule(f"{_OPENED} TIME comma? and? [to dash until slash] [the around]? [TIME now]", _from_to),
    rule("between the? TIME and the? [TIME now]", _from_to),
    rule("[from since after] the? TIME and? before the? [TIME now]", _from_to),
    rule("[duration UNIT] (?:before [and to])? [before after around] the? SPAN", _beside),
    rule("prep duration of the? SPAN", _beside),
    rule("[duration UNIT] (?:before [and to])? [before after around] the? [clock hours]", _beside),
    rule("[since after] [around from]? the? [TIME mention]", relate),
    rule("from around? the? [clock moment anchor]", relate),
    rule("(?:before|previous to) around? the? [TIME mention]", relate),
    rule("(?:until|up to) around? the? [TIME mention]", relate),
    rule("[during at around] the? anchor", _during),
    rule("prep? the? anchor", _chosen),
    rule("[at prep during around]{1,2} [day period moment hours clock]", _last),
)
"""How times relate to one another and to now."""
