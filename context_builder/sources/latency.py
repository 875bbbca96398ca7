"""Latency percentiles: answers "what is slow, for whom, and since which router version?".

Columns: p50, p95 and p99 in ms (within 2 % of a sample) and the number of timed requests of any status, in
the window and in the 7 days before it; by tier, deployment, and deployment x router version with the hours
each was seen; and over the window in at most MAX_BUCKETS spans of time (UTC).
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.rollups.rows import Groups, Rows
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import by_minute, covering, minute_of, moment_of
from context_builder.rollups.table import REQUESTS
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.telemetry.rollups import covering_with_baseline
from context_builder.text.formatting import (
    format_count,
    format_milliseconds,
    format_name,
    format_ratio,
    format_time,
)
from models.histogram import Histogram

MIN_TIMED = 20
"""Minimum of timed requests on each side for a comparison of percentiles."""
NOTABLE_P95_RATIO = 1.3
"""Factor of change in p95, up or down, that an engineer should look at."""
MAX_DEPLOYMENTS = 12
MAX_ROUTER_FACTS = 12
MAX_VERSIONS = 4
MAX_BUCKETS = 12
_HOUR = timedelta(hours=1)
_WIDTHS_MINUTES = (1, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1_440, 10_080, 43_200)
"""Possible widths of the spans that the window is split into; the last suffices for a year."""
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
"""A Monday, so that spans of weeks begin on Mondays."""


@dataclass(frozen=True, slots=True)
class LatencyGroup:
    """Latencies that share all compared dimensions."""

    deployment: str
    tier: str
    router_version: str
    in_window: bool
    first: datetime
    last: datetime
    """Start of the last bucket."""
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class LatencySpan:
    """Latencies of one part of the window."""

    start: datetime
    end: datetime
    histogram: Histogram


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return percentiles of the window and the baseline, and by router version if there were several."""
    groups, gaps = await _load_groups(request, stores)
    now = _merge(group for group in groups if group.in_window)
    if not now.total:
        return Section("no timed requests in the window", status=Status.EMPTY, gaps=gaps)
    before = _merge(group for group in groups if not group.in_window)
    series = await _load_series(request, stores)
    facts = [
        *_series_facts(series),
        *_dimension_facts(groups, "tier", 0.8),
        *_most_important(_dimension_facts(groups, "deployment", 0.7), MAX_DEPLOYMENTS),
        *_most_important(_router_facts(groups), MAX_ROUTER_FACTS),
    ]
    return Section(
        f"all requests in scope: {_format_percentiles(now)}; "
        f"the 7 days before: {_format_percentiles(before)}",
        tuple(_most_important(facts, len(facts))),
        gaps=gaps,
        headline=_headline("all requests in scope", now, before, Role.COUNT),
    )


_NOUNS = {
    "tier": (Noun.TIER,),
    # A deployment is a model at a backend.
    "deployment": (Noun.DEPLOYMENT, Noun.MODEL, Noun.BACKEND),
}


def _headline(
    name: str, now: Histogram, before: Histogram, role: Role, nouns: tuple[Noun, ...] = ()
) -> Headline:
    """Put both p95 side by side; it is a ranking by p95."""
    p95 = _percentile(now, 95)
    text = f"{name} p95 {format_milliseconds(p95)}, p50 {format_milliseconds(_percentile(now, 50))}"
    comparable = min(now.total, before.total) >= MIN_TIMED
    if comparable:
        text += f", the 7 days before p95 {format_milliseconds(_percentile(before, 95))}"
    alarm = p95 >= NOTABLE_P95_RATIO * _percentile(before, 95) if comparable else None
    return Headline(text=text, role=role, nouns=nouns, topic=Topic.LATENCY, alarm=alarm, value=p95)


async def _load_groups(request: ContextRequest, stores: Stores) -> tuple[list[LatencyGroup], tuple[str, ...]]:
    scope = await rollup_scope(stores.rollups, request)
    rows = scope.of(await stores.rollups.read(REQUESTS, *covering_with_baseline(request.window)))
    # Merging the histograms of a busy week takes a while; a thread keeps the event loop free.
    return await asyncio.to_thread(_groups, rows, request.window), scope.gaps


def _groups(rows: Rows, window: Window) -> list[LatencyGroup]:
    rows = rows.where(rows["slowest_ms"] >= 0)
    labels = [rows.labels(dimension) for dimension in ("deployment", "tier", "router_version")]
    now = rows.since(window.start)
    groups = Groups(*(places for _, places in labels), now)
    names = [[values[place] for place in places[groups.first].tolist()] for values, places in labels]
    return [
        LatencyGroup(*group)
        for group in zip(
            *names,
            now[groups.first].tolist(),
            map(moment_of, groups.min(rows["start"]).tolist()),
            map(moment_of, groups.max(rows["start"]).tolist()),
            groups.histograms(rows["histogram"]),
            strict=True,
        )
    ]


async def _load_series(request: ContextRequest, stores: Stores) -> list[LatencySpan]:
    """Load latencies of all requests in scope, in clock-aligned spans of the window."""
    window = request.window
    # Whole hours cannot show the parts of an hour; minutes of many hours would be many rows.
    fine = window.length <= MAX_BUCKETS * _HOUR
    scope = await rollup_scope(stores.rollups, request)
    rows = await stores.rollups.read(REQUESTS, *(by_minute(window) if fine else covering(window)))
    return await asyncio.to_thread(_series, scope.of(rows), _split_window(window))


def _series(rows: Rows, spans: Sequence[tuple[datetime, datetime]]) -> list[LatencySpan]:
    rows = rows.where(rows["slowest_ms"] >= 0)
    starts = np.array([minute_of(start) for start, _ in spans])
    places = np.searchsorted(starts, rows["start"], side="right") - 1
    groups = Groups(places)
    found = [spans[place] for place in places[groups.first].tolist()]
    histograms = groups.histograms(rows["histogram"])
    return [LatencySpan(start, end, one) for (start, end), one in zip(found, histograms, strict=True)]


def _split_window(window: Window) -> list[tuple[datetime, datetime]]:
    """Split the window into parts of one width; the first and the last may be shorter."""
    for minutes in _WIDTHS_MINUTES:
        width = timedelta(minutes=minutes)
        first = (window.start - _EPOCH) // width
        last = -((_EPOCH - window.end) // width)
        if last - first <= MAX_BUCKETS:
            break
    else:
        return [(window.start, window.end)]
    edges = [_EPOCH + n * width for n in range(first, last + 1)]
    return [(max(start, window.start), min(end, window.end)) for start, end in pairwise(edges)]


def _series_facts(series: Sequence[LatencySpan]) -> Iterator[Fact]:
    """Yield one fact that shows latency over the window."""
    if len(series) < 2:  # noqa: PLR2004  one span would repeat the header
        return
    parts = []
    for span in series:
        figures = "/".join(f"{round(_percentile(span.histogram, p)):,}" for p in (50, 95, 99))
        parts.append(f"{format_time(span.start)} {figures} ({span.histogram.total:,})")
    enough = [span for span in series if span.histogram.total >= MIN_TIMED] or series
    first, worst, last = enough[0], max(enough, key=lambda span: _percentile(span.histogram, 95)), enough[-1]
    short = "p95 over the window: " + ", ".join(
        f"{name} {format_milliseconds(_percentile(span.histogram, 95))} at {format_time(span.start)}"
        for name, span in (("first", first), ("worst", worst), ("last", last))
    )
    head = "p50/p95/p99 in ms over the window, by start of span, with timed requests"
    yield Fact(f"{head}: {'; '.join(parts)}", short, 0.65, kind="latency series")


def _most_important(facts: Iterable[Fact], most: int) -> list[Fact]:
    return sorted(facts, key=lambda fact: -fact.importance)[:most]


def _dimension_facts(groups: Iterable[LatencyGroup], dimension: str, importance: float) -> Iterator[Fact]:
    """Yield a fact per group that was timed in the window, busiest first; notable changes rank higher."""
    sides: defaultdict[str, tuple[list[LatencyGroup], list[LatencyGroup]]] = defaultdict(lambda: ([], []))
    for group in groups:
        sides[getattr(group, dimension)][not group.in_window].append(group)
    merged = [(name, _merge(now), _merge(before)) for name, (now, before) in sides.items()]
    for name, now, before in sorted(merged, key=lambda side: (-side[1].total, side[0])):
        if not now.total:
            continue
        head = f"{dimension} {format_name(name)}:"
        text = f"{head} {_format_percentiles(now)}; the 7 days before: {_format_percentiles(before)}"
        weight = importance if now.total >= MIN_TIMED else importance / 2
        if min(now.total, before.total) >= MIN_TIMED:
            ratio = format_ratio(_percentile(now, 95), _percentile(before, 95))
            text += f"; p95 is {ratio} what it was"
            weight += 0.15 if _is_notable(now, before) else 0
        short = f"{head} p95 {format_milliseconds(_percentile(now, 95))}"
        headline = _headline(format_name(name), now, before, Role.RANKING, _NOUNS[dimension])
        yield Fact(text, short, weight, kind=f"{dimension}s", headline=headline)


def _router_facts(groups: Iterable[LatencyGroup]) -> Iterator[Fact]:
    """Yield deployments that ran under several router versions, busiest first, with the hours of each."""
    timed: Counter[str] = Counter()
    versions: defaultdict[str, defaultdict[str, list[LatencyGroup]]] = defaultdict(lambda: defaultdict(list))
    for group in groups:
        timed[group.deployment] += group.histogram.total
        if group.router_version:
            versions[group.deployment][group.router_version].append(group)
    for deployment, by_version in sorted(versions.items(), key=lambda item: (-timed[item[0]], item[0])):
        ordered = sorted(by_version.items(), key=lambda item: (min(g.first for g in item[1]), item[0]))
        merged_versions = [(version, members, _merge(members)) for version, members in ordered]
        enough = [entry for entry in merged_versions if entry[2].total >= MIN_TIMED][-MAX_VERSIONS:]
        if len(enough) < 2:  # noqa: PLR2004  a comparison needs two sides
            continue
        (_, _, old), (newest, _, new) = enough[-2:]
        ratio = format_ratio(_percentile(new, 95), _percentile(old, 95))
        change = (
            f"{format_name(deployment)} by router version: under {format_name(newest)} "
            f"p95 is {ratio} that of the previous one"
        )
        parts = [
            f"{format_name(version)} ({_format_seen(members)}): {_format_percentiles(histogram)}"
            for version, members, histogram in enough
        ]
        text = f"{change}; first to last hour seen: {'; '.join(parts)}"
        headline = Headline(text=change, role=Role.COMPARISON, nouns=(Noun.VERSION,), topic=Topic.LATENCY)
        importance = 1.0 if _is_notable(new, old) else 0.5
        yield Fact(text, change, importance, kind="router comparisons", headline=headline)


def _format_seen(groups: Iterable[LatencyGroup]) -> str:
    members = list(groups)
    return f"{format_time(min(g.first for g in members))} to {format_time(max(g.last for g in members))}"


def _merge(groups: Iterable[LatencyGroup]) -> Histogram:
    return Histogram.total_of(group.histogram.counts for group in groups)


def _percentile(histogram: Histogram, percentile: int) -> float:
    return histogram.quantile(percentile / 100) or 0.0


def _is_notable(new: Histogram, old: Histogram) -> bool:
    ratio = _percentile(new, 95) / _percentile(old, 95)
    return max(ratio, 1 / ratio) >= NOTABLE_P95_RATIO


def _format_percentiles(histogram: Histogram) -> str:
    if not histogram.total:
        return "no timed requests"
    quantiles = ", ".join(f"p{p} {format_milliseconds(_percentile(histogram, p))}" for p in (50, 95, 99))
    return f"{quantiles} over {format_count(histogram.total, 'timed request')}"


source = ContextSource("latency", "L", frozenset({Topic.LATENCY}), 3.0, read, shows_to_confined=Shown.NOTHING)
