"""Sides: answers "is this week worse than last week, and are premium users slower than standard ones?".

Columns: requests and cost (US dollars) per hour, failed, timed-out and rate-limited requests (%), latency
p50, p95 and p99 (ms, within 2 % of a sample), cost per request and mean quality (0 to 1), of two sides, with
their difference and whether it is more than chance; or of a window with gaps. Empty for other questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from context_builder.question.request import ContextRequest, Side, Topic, Wording
from context_builder.source import (
    ContextSource,
    Fact,
    Headline,
    Role,
    Section,
    Shown,
    Status,
    Stores,
    by_importance,
)
from context_builder.telemetry.chance import Chance
from context_builder.telemetry.side_figures import Measure, SideFigures, SidesFound, load_sides
from context_builder.telemetry.side_metrics import METRICS, Pair, SideMetric, format_length
from context_builder.text.formatting import (
    format_count,
    format_name,
    format_ratio,
    format_time,
)
from context_builder.text.sanitize import single_line

MAX_CLAIMS = 4
"""Differences in the header."""
_MOSTLY = 0.9
"""Share of both sides from which the blocks that can be compared stand for the whole."""
_OFF_TOPIC = 0.3
"""Loss of importance of a metric that the question is not about."""
_KINDS = ("deployment", "model", "backend", "tier", "user")
_LABEL_LIMIT = 100
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Contrast:
    """How two sides differ by one metric."""

    metric: SideMetric
    words: str
    """`+3.1 points, 3.8 times`, or `tier premium is slower, +1,130 ms, 2.0 times`; empty: not at all."""
    chance: Chance
    alike: str
    """The values in the hours that are compared, if they are not most of both sides."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the figures of both sides, metric by metric, those asked about first."""
    if not request.sides:
        return Section(
            "the question compares nothing and leaves no time out", status=Status.EMPTY, applies=False
        )
    request = replace(request, sides=_in_order(request.sides))
    found = await load_sides(stores.rollups, request)
    # Thousands of exchanges of blocks, off the event loop.
    return await asyncio.to_thread(_section, request, found)


def _in_order(sides: Sequence[Side]) -> tuple[Side, ...]:
    """Return the later of two windows first, so that `+` is a rise; scopes as asked."""
    return tuple(sorted(sides, key=lambda side: side.intervals[0].start, reverse=True))


def _section(request: ContextRequest, found: SidesFound) -> Section:
    busy = [side for side in found.sides if side.total(Measure.REQUESTS)]
    silent = [label_of(side.side) for side in found.sides if not side.total(Measure.REQUESTS)]
    missing = "; ".join(f"{label}: no requests recorded" for label in silent)
    gaps = (*_gaps(found), *found.gaps)
    if not busy:
        return Section(missing, status=Status.EMPTY, gaps=gaps)
    if len(busy) == 1:
        (side,) = busy
        facts = _ordered(request, ((one, _fact_of_one(one, side)) for one in METRICS if one.is_known(side)))
        head = f"{_name_with_length(side)}: {format_count(side.total(Measure.REQUESTS), 'request')}"
        return Section(f"{head}; {missing}" if missing else head, facts, gaps=gaps)
    pair = (busy[0], busy[1])
    alike = found.alike()
    contrasts = [_contrast(one, found, alike) for one in METRICS if _is_worth(one, pair)]
    facts = _ordered(request, ((one.metric, _fact(one, pair)) for one in contrasts))
    ranked = sorted(contrasts, key=lambda one: -_importance(request, one.metric))
    return Section(f"{' vs '.join(map(_name_with_length, pair))}: {_claims(ranked)}", facts, gaps=gaps)


def _is_worth(metric: SideMetric, sides: Sequence[SideFigures]) -> bool:
    """Return whether the metric is known of every side, and not of a kind of failure that none had."""
    return all(map(metric.is_known, sides)) and (
        not metric.only_if_any or any(metric.value(side) for side in sides)
    )


def _importance(request: ContextRequest, metric: SideMetric) -> float:
    return metric.importance - (0 if metric.topic in request.topics else _OFF_TOPIC)


def _ordered(request: ContextRequest, facts: Iterator[tuple[SideMetric, Fact]]) -> tuple[Fact, ...]:
    """Return the facts with their importance and topic, the most important first."""
    return by_importance(
        replace(
            fact,
            importance=_importance(request, metric),
            topics=frozenset({metric.topic}),
            kind="comparisons",
        )
        for metric, fact in facts
    )


def label_of(side: Side) -> str:
    """Return the label with names of the gateway quoted where they are not plain."""
    kind, _, names = side.label.partition(" ")
    if kind in _KINDS and names:
        return f"{kind} {', '.join(format_name(name) for name in names.split(', '))}"
    return single_line(side.label, limit=_LABEL_LIMIT)


def _name_with_length(figures: SideFigures) -> str:
    return f"{label_of(figures.side)} ({format_length(figures)})"


def _fact_of_one(metric: SideMetric, side: SideFigures) -> Fact:
    return Fact(f"{metric.name} of {label_of(side.side)}: {metric.shown(side)}")


def _contrast(metric: SideMetric, found: SidesFound, alike: Sequence[SideFigures]) -> Contrast:
    one, other = found.sides
    is_known = all(map(metric.is_known, alike))
    chance = metric.chance((alike[0], alike[1]), paired=found.paired) if is_known else Chance(0, None)
    is_whole = all(
        part.recorded >= _MOSTLY * side.recorded for part, side in zip(alike, found.sides, strict=True)
    )
    values = " vs ".join(metric.show(side) for side in alike) if is_known and not is_whole else ""
    return Contrast(metric, _difference(metric, (one, other)), chance, values)


def _difference(metric: SideMetric, pair: Pair) -> str:
    """Return the difference in words, of two scopes with which of them has more."""
    one, other = map(metric.value, pair)
    if metric.show(pair[0]) == metric.show(pair[1]):
        return ""
    who = ""
    if pair[0].side.intervals == pair[1].side.intervals:
        who = f"{label_of(pair[one < other].side)} {metric.more}, "
        one, other = max(one, other), min(one, other)
    times = f", {format_ratio(one, other)}" if one and other else ""
    return f"{who}{'+' if one > other else '-'}{metric.difference(abs(one - other))}{times}"


def _fact(contrast: Contrast, pair: Pair) -> Fact:
    metric = contrast.metric
    head = f"{metric.name}: "
    values = " vs ".join(f"{label_of(side.side)} {metric.shown(side)}" for side in pair)
    brief = " vs ".join(f"{label_of(side.side)} {metric.show(side)}" for side in pair)
    if not contrast.words:
        told = Headline(text=f"{head}{brief}: no difference", role=Role.COMPARISON, topic=metric.topic)
        return Fact(f"{head}{values}: no difference", f"{head}{brief}", headline=told)
    alike = f"in the same hours {contrast.alike}, " if contrast.alike else ""
    verdict = f"{contrast.words}; {alike}{contrast.chance}"
    words = contrast.words.split(", ")
    line = f"{head}{brief}: {words[-1]}; {contrast.chance}"
    if pair[0].side.intervals == pair[1].side.intervals:
        line = f"{words[0]}: {head}{brief}, {words[-1]}; {contrast.chance}"
    told = Headline(text=line, role=Role.COMPARISON, topic=metric.topic)
    return Fact(f"{head}{values}: {verdict}", f"{head}{brief}; {alike}{contrast.chance}", headline=told)


def _claims(contrasts: Sequence[Contrast]) -> str:
    """Return the differences that are more than chance."""
    sure = [f"{one.metric.name}: {one.words}" for one in contrasts if one.words and one.chance.is_excluded]
    if not sure:
        untold = all(one.chance.p is None for one in contrasts)
        return "too little data to tell a difference" if untold else "no difference is more than chance"
    rest = f"; and {len(sure) - MAX_CLAIMS} more" if len(sure) > MAX_CLAIMS else ""
    return f"more than chance: {'; '.join(sure[:MAX_CLAIMS])}{rest}"


def _gaps(found: SidesFound) -> Iterator[str]:
    """Yield what is not on record, and in which way the sides are not two separate things."""
    for figures in found.sides:
        label, start = label_of(figures.side), figures.side.intervals[0].start
        if found.since and start < found.since:
            yield f"{label} before {format_time(found.since)}, when the records begin"
        elif not figures.total(Measure.REQUESTS):
            yield f"figures of {label}: no requests recorded"
    if len(found.sides) > 1 and _overlap(*(figures.side for figures in found.sides)):
        yield "the sides apart from each other: they overlap, so that some requests count on both"
    if not found.paired and any(figures.recorded % _DAY for figures in found.sides):
        yield "the same times of day on both sides, as a day's usual ups and downs may differ between them"


def _overlap(one: Side, other: Side) -> bool:
    """Return whether a request could be on both sides."""
    fields = [(getattr(one.scope, name), getattr(other.scope, name)) for name in _RESTRICTIONS]
    return all(not a or not b or set(a) & set(b) for a, b in fields) and any(
        a.start < b.end and b.start < a.end for a in one.intervals for b in other.intervals
    )


_RESTRICTIONS = ("deployment_ids", "tiers", "user_ids")


source = ContextSource(
    "sides",
    "SD",
    frozenset({Topic.ERRORS, Topic.LATENCY, Topic.COST, Topic.VOLUME, Topic.QUALITY}),
    4.0,
    read,
    asks=frozenset({Wording.TOPICS, Wording.SIDES}),
    shows_to_confined=Shown.OWN,
)
