"""Latency percentiles: answers "what is slow, for whom, and since which router version?".

Columns: p50, p95 and p99 in ms (within 2 % of a sample) and the number of timed requests, in the window and
in the 7 days before it; by tier, deployment, and deployment x router version with the hours each was seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, or_, select

from context_builder.figures import count, milliseconds, moment, times
from context_builder.request import ContextRequest, Topic
from context_builder.rollup_query import baseline_of, rollups_in, user_gap, within
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.untrusted import one_line
from models import Deployment, RequestRollup
from models.histogram import Histogram

FEWEST = 20
"""With fewer timed requests on a side, a percentile is not compared."""
NOTABLE = 1.3
"""A p95 that changed by this factor, either way, is worth an engineer's look."""
MOST_DEPLOYMENTS = 12


@dataclass(frozen=True, slots=True)
class Bucket:
    """One rollup's latencies with the dimensions that are compared."""

    deployment: str
    tier: str
    router_version: str
    in_window: bool
    start: datetime
    histogram: bytes


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Percentiles now against before, and by router version where there were several."""
    buckets = await _buckets(request, stores)
    now = _merge(bucket for bucket in buckets if bucket.in_window)
    if not now.total:
        return Section("no timed requests in the window", status=Status.EMPTY)
    before = _merge(bucket for bucket in buckets if not bucket.in_window)
    header = f"all requests in scope: {_figures(now)}; the 7 days before: {_figures(before)}"
    facts = [
        *_by(buckets, "tier", 0.8),
        *sorted(_by(buckets, "deployment", 0.7), key=lambda fact: -fact.importance)[:MOST_DEPLOYMENTS],
        *_by_router_version(buckets),
    ]
    return Section(
        header, tuple(sorted(facts, key=lambda fact: -fact.importance)), gaps=user_gap(request.scope)
    )


async def _buckets(request: ContextRequest, stores: Stores) -> list[Bucket]:
    in_window = case((within(RequestRollup, request.window), 1), else_=0)
    statement = (
        select(
            Deployment.public_id, RequestRollup.tier, RequestRollup.router_version, in_window,
            RequestRollup.bucket_start, RequestRollup.latency_histogram,
        )
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .where(
            or_(within(RequestRollup, request.window), within(RequestRollup, baseline_of(request.window))),
            rollups_in(request.scope),
        )
    )  # fmt: skip
    async with stores.snapshot.session() as session:
        rows = await session.execute(statement)
        return [Bucket(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) for row in rows]


def _by(buckets: Iterable[Bucket], dimension: str, importance: float) -> Iterator[Fact]:
    """One fact per group that was timed in the window; a group that changed counts for more."""
    groups: defaultdict[str, list[Bucket]] = defaultdict(list)
    for bucket in buckets:
        groups[getattr(bucket, dimension)].append(bucket)
    for name, members in sorted(groups.items()):
        now = _merge(bucket for bucket in members if bucket.in_window)
        before = _merge(bucket for bucket in members if not bucket.in_window)
        if not now.total:
            continue
        change = _change(now, before)
        text = f"{dimension} {name}: {_figures(now)}; the 7 days before: {_figures(before)}"
        if change:
            text += f"; p95 is {times(_p(now, 95), _p(before, 95))} what it was"
        weight = importance if now.total >= FEWEST else importance / 2
        if change and max(change, 1 / change) >= NOTABLE:
            weight += 0.15
        yield Fact(one_line(text), one_line(f"{dimension} {name}: p95 {milliseconds(_p(now, 95))}"), weight)


def _by_router_version(buckets: Iterable[Bucket]) -> Iterator[Fact]:
    """Deployments that ran under several router versions: before and after, with the hours of each."""
    groups: defaultdict[str, defaultdict[str, list[Bucket]]] = defaultdict(lambda: defaultdict(list))
    for bucket in buckets:
        if bucket.router_version:
            groups[bucket.deployment][bucket.router_version].append(bucket)
    for deployment, versions in sorted(groups.items()):
        ordered = sorted(versions.items(), key=lambda item: (min(b.start for b in item[1]), item[0]))
        merged = [(version, members, _merge(members)) for version, members in ordered]
        enough = [entry for entry in merged if entry[2].total >= FEWEST]
        if len(enough) < 2:  # noqa: PLR2004  a comparison needs two sides
            continue
        parts = [
            f"{version} ({_span(members)}): {_figures(histogram)}" for version, members, histogram in enough
        ]
        (_, _, old), (newest, _, new) = enough[-2:]
        change = _p(new, 95) / max(1.0, _p(old, 95))
        text = f"{deployment} by router version, first to last hour seen: {'; '.join(parts)}"
        verdict = f"; under {newest} p95 is {times(_p(new, 95), _p(old, 95))} that of the version before"
        importance = 1.0 if max(change, 1 / change) >= NOTABLE else 0.5
        yield Fact(one_line(text + verdict), one_line(f"{deployment}{verdict.removeprefix(';')}"), importance)


def _span(buckets: Iterable[Bucket]) -> str:
    starts = [bucket.start for bucket in buckets]
    return f"{moment(min(starts))} to {moment(max(starts))}"


def _merge(buckets: Iterable[Bucket]) -> Histogram:
    return Histogram.merged(bucket.histogram for bucket in buckets)


def _p(histogram: Histogram, percentile: int) -> float:
    return histogram.quantile(percentile / 100) or 0.0


def _change(now: Histogram, before: Histogram) -> float | None:
    if now.total < FEWEST or before.total < FEWEST:
        return None
    return _p(now, 95) / max(1.0, _p(before, 95))


def _figures(histogram: Histogram) -> str:
    if not histogram.total:
        return "no timed requests"
    quantiles = ", ".join(f"p{p} {milliseconds(_p(histogram, p))}" for p in (50, 95, 99))
    return f"{quantiles} over {count(histogram.total, 'timed request')}"


source = ContextSource("latency", "L", frozenset({Topic.LATENCY}), 3.0, read)
