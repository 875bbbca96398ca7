"""Finds the words for events of the gateway: "since the deploy", "Tuesday's release". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from context_builder.question.mention import TextSpan
from context_builder.question.request import Interval
from context_builder.question.times.reading import read_times

RELATIONS = "since|before|after|during|until|till|around|from|between|following|prior to|while|when"
"""Words that place a time by an event, as a pattern."""
_RELATION = rf"(?:{RELATIONS}|(?:(?<=hour )|(?<=hours )|(?<=min )|(?<=mins )|(?<=minutes ))of)"
_NOUNS = {
    "rollout": r"deploys?|deployments?|roll-?outs?|releases?|upgrades?|updates?",
    "change": (
        r"(?:config(?:uration)?|settings?|parameter|route|routing) (?:change|push|update|edit)s?"
        r"|(?<=router )changes?"
    ),
    "scale": r"(?:scale|scaling)(?:[ -](?:up|down|event|in|out))?",
    "drain": r"drain(?:ing)?s?",
    "firmware": r"firmware (?:update|upgrade)s?",
    "image": r"image (?:update|upgrade)s?",
    "maintenance": r"maintenance(?: window)?",
    "incident": r"incidents?|outages?",
}
_EVENT = "|".join(rf"(?P<{kind}>{nouns})" for kind, nouns in reversed(_NOUNS.items()))
_VERSION = (
    r"(?:(?:router|gateway|version|release) )*(?P<version>v\d+(?:\.\d+){1,3}(?:[-+.][\w.]+)?|\d+\.\d+\.\d+)"
)
_BACK = {"penultimate": 1, "next": 1, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3}
"""How many later events there are."""
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5}
_LAST = r"(?:last|latest|newest|most recent)"
_WHICH = (
    r"(?:(?:the|our|its|this|that|a) )?(?:(?P<day>(?:(?:this|last|yesterday) )?\w+)['’]s )?"
    rf"(?:(?P<back>{'|'.join(_BACK)})(?:(?<=penultimate)|[ -]to[ -](?:the )?last|[ -]{_LAST}) "
    rf"|(?P<pair>{_LAST} (?:two|2) )|(?:very )?(?:(?P<last>{_LAST}|previous)|recent|current|big) "
    rf"|(?P<ago>\d|{'|'.join(_COUNTS)}) (?=(?:\w+ )?\w+s ago\b))?"
)
_PART = r"(?:morning|afternoon|evening|night)"
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_WHEN = (
    rf"(?: (?:on |from |of )?(?P<when>(?:{_WEEKDAY}|yesterday)(?: {_PART})?|today"
    rf"|(?:this|last) (?:{_PART}|week|weekend|month)))"
)
_OF = r"(?: (?:the )?(?:deploy|deployment|roll-?out|release|upgrade) (?:of|to))"
"""As in "since the rollout of v2.4.0"."""
_PHRASE = re.compile(
    rf"\b(?:(?P<relation>{_RELATION}){_OF}? )?"
    rf"(?P<event>{_WHICH}"
    r"(?:(?:(?P<target>router)|gateway) )?"
    rf"(?:{_EVENT}|{_VERSION}|(?P<row>(?:cfg|job)_[\w-]+))(?P<past> before last| ago)?)"
    rf"(?![\w-]){_WHEN}?",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"\d $")
_WITHIN = ("during", "while", "when")


@dataclass(frozen=True, slots=True)
class EventPhrase:
    """Words for an event."""

    span: TextSpan
    kind: str
    """What it is: a kind of event, `version` or `row`."""
    noun: str
    """Its last word, or the version, or the id of the row."""
    back: int = 0
    """How many later events of its kind there are."""
    day: Interval | None = None
    """When it began, if that is said."""
    is_pair: bool = False
    """The time between the last two."""
    is_within: bool = False
    """Its whole length is meant, not only its start."""
    is_chosen: bool = False
    """One of several is said to be meant, so that it is told which, even if no time refers to it."""
    target: str = ""
    """What it changed, if that is said; as the target of its row."""
    without_day: EventPhrase | None = None
    """The same if none began on the day that follows it."""


def find_event_phrases(text: str, as_of: datetime, taken: Sequence[TextSpan]) -> Iterator[EventPhrase]:
    """Yield the events that a text names beside the names that are `taken`: after `since`, or as the last."""
    for match in _PHRASE.finditer(text):
        phrase = _read(match, as_of)
        span = phrase.span
        followed = any(
            text[span.end : other.start].strip() == "" and other.start >= span.end for other in taken
        )
        if phrase.target and (match["incident"] or match["maintenance"]):
            continue  # their rows name no such target
        # `deployment` before a name is its noun.
        if (followed and match["rollout"]) or any(o.start < span.end and span.start < o.end for o in taken):
            continue
        if (
            match["relation"]
            or (phrase.is_chosen and not phrase.noun.endswith("s"))
            or match["ago"]
            or match["pair"]
        ):
            yield phrase


def _read(match: re.Match[str], as_of: datetime) -> EventPhrase:
    span = TextSpan(*match.span("event"))
    kind = next(kind for kind in (*_NOUNS, "version", "row") if match[kind])
    noun = match["version"] or match["row"] or match[kind].split()[-1]
    day = _day(match["day"], as_of)
    if match["day"] and day is None:
        # Somebody's incident.
        span = TextSpan(match.end("day") + len("'s "), span.end)
    back = _BACK.get((match["back"] or "").casefold(), 0) + (match["past"] or "").endswith("last")
    if match["ago"]:
        count = match["ago"].casefold()
        back = (_COUNTS.get(count) or int(count)) - 1
    is_one = match["last"] and not noun.endswith("s") and not _COUNTED.search(match.string, 0, span.start)
    phrase = EventPhrase(
        span, kind, noun, back, day, bool(match["pair"]), (match["relation"] or "").casefold() in _WITHIN,
        is_chosen=bool(day or back or is_one or match["pair"] or match["ago"]),
        target=(match["target"] or "").casefold(),
    )  # fmt: skip
    then = _day(match["when"], as_of)
    if day or then is None or kind in ("version", "row"):
        return phrase
    whole = TextSpan(span.start, match.end("when"))
    return replace(phrase, span=whole, day=then, is_chosen=True, without_day=phrase)


def _day(words: str | None, as_of: datetime) -> Interval | None:
    found = read_times(words, as_of).mentions if words else ()
    if len(found) != 1 or found[0].spans != (TextSpan(0, len(words or "")),):
        return None
    return Interval(found[0].intervals[0].start, found[0].intervals[-1].end)
