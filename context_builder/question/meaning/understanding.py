"""What a question asks about, made of its times, names, exclusions and comparisons."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from context_builder.question.events import EventMention
from context_builder.question.meaning.comparison import ComparedSides, find_comparison
from context_builder.question.meaning.coverage import (
    MAX_NOT_USED,
    cities_in,
    filtering_negations_in,
    joined,
    overlaps,
    relations_in,
    times_in,
    with_object,
    zones_in,
)
from context_builder.question.meaning.exclusions import Exclusions, find_exclusions
from context_builder.question.meaning.intervals import clipped, hull, without
from context_builder.question.meaning.material import Material
from context_builder.question.meaning.operators import Operator, OperatorKind, baseline_after, find_operators
from context_builder.question.meaning.scopes import leaves_nothing, scope_of
from context_builder.question.mention import NameKind, NameMention, TextSpan, TimeMention
from context_builder.question.names.catalog import DeploymentName
from context_builder.question.request import Interval, NotUsed, Scope, Side, Window
from context_builder.question.text import QuestionText
from context_builder.question.times.bounds import DEFAULT_LENGTH, floor_to_minute
from context_builder.question.times.lexer import Anchor
from models import Tier

_BOUNDED = re.compile(r"(?:since|from|between|until|till|during)\b", re.IGNORECASE)
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_HOURS = re.compile(
    r"(?:(?:between|from|to|and|until|utc|noon|midnight|\d{1,2}(?::\d{2})?(?: ?[ap]m)?)[ –-]*)+",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(
    r"(?:on )?(?:the )?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|mon|tue|wed|thu|fri|sat|sun"
    r"|weekends?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the readers found in a question's text."""

    names: Sequence[NameMention] = ()
    unknown: Sequence[TextSpan] = ()
    """Places of unknown names, which are told apart."""
    events: Sequence[EventMention] = ()
    fleet: Sequence[DeploymentName] = ()
    given_window: Window | None = None
    """The window that the caller gave; times in the text are then not used."""
    given_scope: Scope | None = None
    """The scope that the caller gave; other names in the text are then not used."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a question asks about."""

    window: Window
    scope: Scope
    sides: tuple[Side, ...] = ()
    not_used: tuple[NotUsed, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Ledger:
    """What of the text was used, and what was told as not used."""

    used: list[TextSpan] = field(default_factory=list)
    told: list[tuple[TextSpan, str]] = field(default_factory=list)

    def tell(self, spans: Sequence[TextSpan], reason: str) -> None:
        self.told.extend((span, reason) for span in spans)

    def overrule(self, spans: Sequence[TextSpan], reason: str) -> None:
        """Tell of parts that were used as not used."""
        self.used = [span for span in self.used if span not in spans]
        self.tell([span for span in dict.fromkeys(spans) if self.is_open(span)], reason)

    def is_open(self, span: TextSpan) -> bool:
        return not overlaps(span, (*self.used, *(told for told, _ in self.told)))


def understand(text: QuestionText, as_of: datetime, findings: Findings) -> Understanding:
    """Return what a question asks about.

    Raises:
        QuestionError: It compares more than two things.
    """
    english = text.english
    material = Material(english, as_of, findings.names, _anchors(english, findings.events))
    operators = tuple(find_operators(english))
    exclusions = find_exclusions(material, operators)
    compared = find_comparison(material, operators, exclusions.spans) or ComparedSides()
    hidden = (*exclusions.spans, *(compared.spans if compared.times else ()))
    reading = material.times(0, len(english), besides=hidden)
    events = [(event.span, event.label) for event in findings.events if event.interval is None]
    ledger = _Ledger(list(findings.unknown), [*events, *reading.refused])
    parts = _Parts(text, material, findings.fleet, exclusions, compared, ledger)
    window, intervals = parts.window(reading.mentions)
    sides = parts.sides(intervals, _words_of(window))
    times = (*reading.mentions, *compared.times, *exclusions.times)
    found = Understanding(_window_of(sides, window, compared), parts.scope(), sides)
    found = _with_arguments(found, findings, exclusions, times, ledger)
    event_notes = tuple(_event_notes(text, findings.events, ledger))
    _tell_the_rest(text, findings.names, operators, exclusions, ledger)
    noted = [*text.notes, *(name.note for name in findings.names), *(time.note for time in times)]
    notes = (*filter(None, noted), *event_notes)
    return replace(found, not_used=tuple(_not_used(text, ledger)), notes=tuple(dict.fromkeys(notes)))


def _anchors(english: str, events: Sequence[EventMention]) -> dict[TextSpan, Anchor]:
    return {
        e.span: Anchor(e.interval, english[e.span.start : e.span.end], e.is_chosen and _is_long(e.interval))
        for e in events
        if e.interval
    }


def _is_long(interval: Interval) -> bool:
    return interval.start < interval.end


def _words_of(window: Window) -> str:
    """Return the words of the question that a window comes from."""
    quoted = window.origin.startswith("“") and window.origin.partition("”")[0].removeprefix("“")
    return quoted or "the last 24 hours"


def _window_of(sides: Sequence[Side], window: Window, compared: ComparedSides) -> Window:
    """Return the window from the first to the last part of the later side."""
    if not sides:
        return window
    later = max(sides, key=lambda side: side.intervals[-1].end)
    whole = hull(later.intervals)
    origin = f"“{later.label}”, the later side" if compared.times else window.origin
    return Window(whole.start, whole.end, origin)


def _with_arguments(
    found: Understanding,
    findings: Findings,
    exclusions: Exclusions,
    times: Sequence[TimeMention],
    ledger: _Ledger,
) -> Understanding:
    """Let the window and scope that the caller gave overrule those of the text."""
    if findings.given_window is not None:
        ledger.overrule([s for time in times for s in time.spans], "the window is given as an argument")
        found = replace(found, window=findings.given_window, sides=())
    if findings.given_scope is not None:
        given = {name for label in findings.given_scope.labels for name in label.split()}
        other = [n for n in findings.names if n in exclusions.names or not given.issuperset(n.names)]
        ledger.overrule([s for name in other for s in name.spans], "the scope is given as an argument")
        found = replace(found, scope=findings.given_scope, sides=())
    return found


def _event_notes(text: QuestionText, events: Sequence[EventMention], ledger: _Ledger) -> Iterator[str]:
    """Say which events are meant; those that no time refers to are told as not used, unless one is chosen."""
    for event in events:
        if event.is_chosen and ledger.is_open(event.span):
            ledger.used.append(event.span)
        if event.interval is not None and overlaps(event.span, ledger.used):
            yield f"“{text.as_asked(event.span)}” is {event.label}"
        elif ledger.is_open(event.span):
            ledger.tell([event.span], "no time that could be read refers to it")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Builds window, sides and scope, and enters in the ledger what each of them used."""

    text: QuestionText
    material: Material
    fleet: Sequence[DeploymentName]
    exclusions: Exclusions
    compared: ComparedSides
    ledger: _Ledger

    def window(self, mentions: Sequence[TimeMention]) -> tuple[Window, tuple[Interval, ...]]:
        """Return the window of the first time that has passed, and its intervals."""
        chosen: tuple[Window, tuple[Interval, ...]] | None = None
        as_of = self.material.as_of
        # "Paged 20 minutes ago, broken since 02:00": what says from when or until when is asked about.
        for mention in sorted(
            mentions, key=lambda m: not _BOUNDED.match(self.material.text, m.spans[0].start)
        ):
            intervals = clipped(mention.intervals, as_of)
            asked = self.text.as_asked(TextSpan(mention.spans[0].start, mention.spans[0].end))
            if not intervals:
                self.ledger.tell(mention.spans, "it is not before the moment asked about")
            elif chosen is not None or self.compared.times:
                self.ledger.tell(mention.spans, "a question has one window, or two that it compares")
            else:
                self.ledger.used += mention.spans
                whole = hull(intervals)
                chosen = Window(whole.start, whole.end, f"“{asked}” in the question"), intervals
        if chosen is not None:
            return chosen
        end = floor_to_minute(as_of)
        unclear = (span for span, _ in self.ledger.told if not _is_forecast(self.text, span))
        told = next(map(self.text.as_asked, unclear), None)
        unread = f"“{told}” is no clear time before the moment asked about"
        reason = unread if told else "the question names no time"
        default = Interval(end - DEFAULT_LENGTH, end)
        return Window(default.start, default.end, f"the last 24 hours, since {reason}"), (default,)

    def sides(self, intervals: tuple[Interval, ...], words: str) -> tuple[Side, ...]:
        """Return two sides if the question compares, one if its window, called `words`, has gaps."""
        gaps = tuple(i for mention in self.exclusions.times for i in _recurring(mention, hull(intervals)))
        compared = self.compared
        if compared.times or compared.names:
            return self._two_sides(intervals, gaps)
        left = without(intervals, clipped(gaps, self.material.as_of))
        if gaps and left in ((), intervals):
            reason = "nothing of the window is left" if not left else "it is outside the window"
            self.ledger.tell([s for m in self.exclusions.times for s in m.spans], reason)
            left = intervals
        if left == intervals and len(left) == 1:
            return ()
        out = ", ".join(dict.fromkeys(mention.label for mention in self.exclusions.times))
        label = f"{words} without {out}" if out and left != intervals else words
        return (Side(label, left, self.scope()),)

    def _two_sides(self, intervals: tuple[Interval, ...], gaps: Sequence[Interval]) -> tuple[Side, ...]:
        compared, as_of = self.compared, self.material.as_of
        when = [without(clipped(time.intervals, as_of), gaps) for time in compared.times]
        when = when or [without(intervals, gaps)] * 2
        if not all(when):
            self.ledger.tell(compared.spans, "one side is not before the moment asked about")
            return ()
        self.ledger.used += compared.spans
        others = [name for name in self._included() if all(name not in side for side in compared.names)]
        scopes = [scope_of([*others, *names], self.exclusions.names, self.fleet) for names in compared.names]
        if compared.has_rest:
            out = [*self.exclusions.names, *compared.names[0]]
            scopes.append(scope_of(others, out, self.fleet))
        labels = self._side_labels()
        return tuple(
            Side(label, part, scope)
            for label, part, scope in zip(labels, when, scopes or [self.scope()] * 2, strict=True)
        )

    def _side_labels(self) -> list[str]:
        compared = self.compared
        times = [time.label for time in compared.times]
        names = [self._listed(side) for side in compared.names] + (["the rest"] if compared.has_rest else [])
        if times and names:
            return [f"{name} {time}" for name, time in zip(names, times, strict=True)]
        return times or names

    def _listed(self, names: Sequence[NameMention]) -> str:
        return self.text.as_asked(TextSpan(names[0].spans[0].start, names[-1].spans[-1].end))

    def scope(self) -> Scope:
        """Return the scope of all names that are not left out."""
        included = [] if self.compared.has_rest else self._included()
        known: dict[NameKind, list[str]] = {
            NameKind.DEPLOYMENT: [d.public_id for d in self.fleet],
            NameKind.TIER: [*Tier],
        }
        out: list[NameMention] = []
        for name in self.exclusions.names:
            useless = name.kind in (NameKind.INCIDENT, NameKind.REQUEST)
            if useless or leaves_nothing(
                name.kind, included, self.exclusions.names, known.get(name.kind, ())
            ):
                reason = f"{name.kind}s cannot be left out" if useless else "nothing would be left"
                self.ledger.tell(name.spans, reason)
            else:
                out.append(name)
                self.ledger.used += name.spans
        self.ledger.used += [span for name in included for span in name.spans]
        return scope_of(included, out, self.fleet)

    def _included(self) -> list[NameMention]:
        return [n for n in self.material.names if n not in self.exclusions.names and not n.is_negated]


def _recurring(mention: TimeMention, whole: Interval) -> Iterator[Interval]:
    """Yield what a time leaves out of a window: every such day of a weekday, hours of every day."""
    (*_, last) = mention.intervals
    period = _WEEK if _WEEKDAY.fullmatch(mention.label) else _DAY if _HOURS.fullmatch(mention.label) else None
    if period is None:
        yield from mention.intervals
        return
    if period is _WEEK:
        # The latest may not be over.
        last = Interval(last.start, last.start + _DAY * math.ceil((last.end - last.start) / _DAY))
    start = last.start - period * math.ceil((last.start - whole.start) / period)
    for number in range(math.ceil((whole.end - start) / period)):
        begin = start + number * period
        yield Interval(begin, begin + (last.end - last.start))


def _tell_the_rest(
    asked: QuestionText,
    names: Sequence[NameMention],
    operators: Sequence[Operator],
    exclusions: Exclusions,
    ledger: _Ledger,
) -> None:
    """Tell what the broad patterns find and nothing used."""
    text = asked.english
    ledger.used += [*exclusions.spans]
    for span in exclusions.without_object:
        ledger.tell([with_object(text, span)], "only names, tiers and times that are known can be left out")
    for operator in operators:
        if operator.kind is OperatorKind.BOUNDS and ledger.is_open(operator.span):
            ledger.tell([operator.span], "requests are not filtered by a figure")
        is_comparison = operator.kind in (OperatorKind.COMPARES, OperatorKind.ANNOUNCES, OperatorKind.SPLITS)
        if is_comparison and ledger.is_open(operator.span) and not baseline_after(text, operator.span.end):
            ledger.tell([with_object(text, operator.span)], "two known names or two times can be compared")
    ledger.tell(
        [s for s in filtering_negations_in(text) if ledger.is_open(s)], "requests are not filtered by this"
    )
    left = filter(None, map(asked.in_english, asked.left))
    unread = [s for s in dict.fromkeys((*times_in(text), *left)) if ledger.is_open(s)]
    # The relation itself must have been used: in "since the game last night" only "last night" may have been.
    told = [span for span, _ in ledger.told]
    for span, first in relations_in(text):
        if not ledger.is_open(TextSpan(span.start, span.start + 1)) or overlaps(span, told):
            continue
        if ledger.is_open(first):
            unread.append(span)
        elif any(overlaps(first, name.spans) for name in names):
            unread.append(TextSpan(span.start, first.start - 1))
    ledger.tell(unread, "it is no time that could be read")
    zones = [span for span in zones_in(text) if ledger.is_open(span)]
    ledger.tell(zones, "no time that could be read is in this time zone")
    cities = [span for span in cities_in(text) if ledger.is_open(span)]
    ledger.tell(cities, "no region is called so; for a time zone write for example Berlin time")


_FORECAST = re.compile(
    r"(?:the )?next (?:(?:few|[1-5]|one|two|three|four|five) minutes|(?:1 |one )?minute)", re.IGNORECASE
)


def _is_forecast(text: QuestionText, span: TextSpan) -> bool:
    """Return whether a time is the one that the forecasts are of, and so is used."""
    return _FORECAST.fullmatch(text.english, span.start, span.end) is not None


def _not_used(text: QuestionText, ledger: _Ledger) -> Iterator[NotUsed]:
    """Yield what was told, neighbouring parts with the same reason together."""
    reasons = dict.fromkeys(reason for _, reason in ledger.told)
    found = [
        (span, reason)
        for reason in reasons
        for span in joined(text.english, [span for span, why in ledger.told if why == reason])
    ]
    shown: list[TextSpan] = []
    for span, reason in sorted(found):
        if _is_forecast(text, span):
            continue
        if len(shown) < MAX_NOT_USED and not overlaps(span, shown):
            shown.append(span)
            yield NotUsed(text.as_asked(span), reason)
