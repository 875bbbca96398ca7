"""Reads a text's times: atoms, rules over them, and what they name at the moment asked about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from context_builder.question.mention import TextSpan, TimeMention
from context_builder.question.request import Interval
from context_builder.question.times import calendar_words, clocks, durations, relations
from context_builder.question.times.atom import Atom
from context_builder.question.times.bounds import MIN_TIME, subtract
from context_builder.question.times.frame import Frame, NoSuchTime
from context_builder.question.times.grammar import apply
from context_builder.question.times.lexer import Anchor, atoms_of
from context_builder.question.times.periods import days_within

MOMENT_MARGIN = timedelta(minutes=30)
"""A point in time such as "at 14:00" means the half hour on either side of it."""

_RULES = (
    *durations.RULES,
    *clocks.READ,
    *calendar_words.DATES,
    *calendar_words.RELATIVE,
    *clocks.RANGES,
    *calendar_words.FILTERS,
    *clocks.JOINS,
    *relations.RULES,
)
_NO_ANCHORS: Mapping[TextSpan, Anchor] = {}
_TIMES = ("day", "period", "moment", "hours", "weak", "clock", "open", "mention")
"""`weak` are numbers that are times of day only together with a day."""
_APART = re.compile(r"[.?!;](?= )|\b(?:and|or)\b", re.IGNORECASE)
"""Between two times that are not one."""
_APPOSED = re.compile(r"(?:[,;(]|\btimes?(?: (?:are|is))?(?: in)?|\bin) ?$|^$", re.IGNORECASE)
"""Before a zone that is that of the whole text."""
_LEADING = re.compile(
    r"^(?:(?:at|on|in|over|for|within|during|throughout|when|while|around|about) )+(?=.)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class TimeReading:
    """The times that a text names."""

    mentions: tuple[TimeMention, ...]
    """In text order."""
    refused: tuple[tuple[TextSpan, str], ...]
    """Words that name a time which does not exist, is ambiguous or not yet past, each with the reason."""


def read_times(text: str, as_of: datetime, anchors: Mapping[TextSpan, Anchor] = _NO_ANCHORS) -> TimeReading:
    """Return the times that a text in English names at the moment `as_of`; never raises.

    In the text, single spaces separate words, and MASK stands for each character of a name or an operator.
    `anchors` are events that stand for a time, each with its place in the text.
    """
    mentions: list[TimeMention] = []
    refused: list[tuple[TextSpan, str]] = []
    now = as_of.astimezone(UTC)
    for spans, atom in _zoned(text, apply(_RULES, atoms_of(text, anchors))):
        frame = Frame(now, now)
        try:
            intervals = _intervals(atom, frame)
        except NoSuchTime as error:
            refused += [(span, str(error)) for span in spans]
        except OverflowError:
            refused += [(span, "lies outside the years 1 to 9999") for span in spans]
        else:
            label = " ".join(_label(text, span, anchors) for span in spans)
            mentions.append(
                TimeMention(spans=spans, intervals=intervals, label=label, note="; ".join(frame.notes))
            )
    return TimeReading(tuple(mentions), tuple(refused))


def _zoned(text: str, atoms: list[Atom]) -> Iterator[tuple[tuple[TextSpan, ...], Atom]]:
    """Yield the times; one zone that stands apart, as in "last week's cost, Asia/Tokyo", is that of all."""
    zones = [atom for atom in atoms if atom.kind == "zone"]
    (zone,) = zones if len(zones) == 1 and _APPOSED.search(text, 0, zones[0].span.start) else (None,)
    free = (zone.span,) if zone else ()
    for spans, atom in _joined(text, atoms):
        if zone is None or atom.zone:
            yield spans, atom
        else:
            yield (*spans, *free), replace(atom, zone=zone.zone)
            free = ()


def _joined(text: str, atoms: list[Atom]) -> Iterator[tuple[tuple[TextSpan, ...], Atom]]:
    """Yield the times with their places; a time of day joins a day of the same sentence."""
    waiting: Atom | None = None
    for atom in atoms:
        if atom.kind not in _TIMES:
            continue
        is_apart = waiting and _APART.search(text, waiting.span.end, atom.span.start)
        both = _combined(waiting, atom) if waiting and not is_apart else None
        if waiting and both:
            yield (waiting.span, atom.span), both
            waiting = None
            continue
        if waiting and waiting.kind != "weak":
            yield (waiting.span,), waiting
        waiting = atom
    if waiting and waiting.kind != "weak":
        yield (waiting.span,), waiting


def _combined(first: Atom, second: Atom) -> Atom | None:
    """Return the time that a day and a time of day, or a period and a weekday in it, name together."""
    for day, other in ((first, second), (second, first)):
        if day.kind in ("day", "period") and other.kind in ("clock", "hours", "weak", "open"):
            return clocks.on_day(day, other)
        if day.kind == "period" and other.days and not day.days:
            return days_within(day, other.days)
    return None


def _intervals(atom: Atom, frame: Frame) -> tuple[Interval, ...]:
    """Return the intervals of a time that began before now."""
    found = atom.at(frame)
    begun = [each for each in found if each.start < frame.now or each.start == each.end == frame.now]
    if not begun:
        raise NoSuchTime("is after the moment asked about")
    if any(each.start > each.end for each in found):
        raise NoSuchTime("the range ends before it starts")
    if found[-1].end < MIN_TIME:
        raise NoSuchTime(f"lies before {MIN_TIME.year}")
    if atom.zone:
        frame.note(atom.zone.note_at(begun[0].start))
    return tuple(_widened(each, frame.now, ends_now=atom.ends_now) for each in begun)


def _widened(interval: Interval, now: datetime, *, ends_now: bool) -> Interval:
    if interval.start == interval.end:
        return Interval(subtract(interval.start, MOMENT_MARGIN), subtract(interval.end, -MOMENT_MARGIN))
    return Interval(interval.start, min(interval.end, now) if ends_now else interval.end)


def _label(text: str, span: TextSpan, anchors: Mapping[TextSpan, Anchor]) -> str:
    """Return the words of a time without a leading preposition; an event has its own name."""
    inside = sorted(each for each in anchors if span.start <= each.start and each.end <= span.end)
    words, place = "", span.start
    for each in inside:
        label, before = anchors[each].label, text[place : each.start]
        words += before.removesuffix("the ") + label if label.startswith("the ") else before + label
        place = each.end
    return _LEADING.sub("", words + text[place : span.end])
