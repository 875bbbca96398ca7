"""What carries a change: answers "which tier, deployment or router version made it worse, and by how much?".

Columns: for each metric that left its usual level (latency in ms, failed requests in %, requests, cost in US
dollars, quality score), the slices that carry the change with their share of it (%), before and after the
onset, and sample sizes; before is up to 7 days before the window. Nothing significant is said as such.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from context_builder.exploration.attribution import Breakdown, Driver, attribute
from context_builder.exploration.breakdown import (
    Latencies,
    Spans,
    code_breakdown,
    error_breakdown,
    latency_breakdown,
    quality_breakdown,
    total_breakdown,
    user_breakdown,
)
from context_builder.exploration.exploration import LOOKBACK
from context_builder.exploration.metric import Metric
from context_builder.exploration.shift import Shift
from context_builder.exploration.user_sample import MOST as MOST_SAMPLED
from context_builder.exploration.user_sample import error_users, volume_users
from context_builder.figures import count, dollars, milliseconds, moment, percent, times
from context_builder.request import ContextRequest
from context_builder.shift_words import ANY_CHANGE, happened, listed_slices, slice_name, topics_of
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from models.database import ReadSession
from models.histogram import Histogram

MOST_SHIFTS = 5
"""Changes that are taken apart, the most relevant first."""
_FALLING = 0.08
"""By so much less important is each further driver of a change."""
_ONLY_GAPS = "no requests for a time, as the onsets say, which no slice explains; nothing else stands out"
_NO_TRAFFIC = "no requests are known, so that nothing can have changed"
_FEWER = 0.05
"""By so much less important is each further change."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A shift, and what carries it."""

    shift: Shift
    drivers: tuple[Driver, ...]
    breakdown: Breakdown
    latencies: Latencies | None = None
    note: str = ""
    """What its figures are of, where that is not everything."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """The slices that carry each change, the best description of it first."""
    shifts = await stores.exploration.shifts(request)
    told = [shift for shift in shifts if not shift.is_gap][:MOST_SHIFTS]
    if not told:
        if shifts:
            return Section(_ONLY_GAPS)
        known = await stores.exploration.has_traffic(request)
        return Section(
            _nothing(request) if known else _NO_TRAFFIC, status=Status.OK if known else Status.EMPTY
        )
    async with stores.snapshot.session() as session:
        explained = [one for shift in told for one in await _explained(session, request, shift)]
    facts = [fact for rank, one in enumerate(explained) for fact in _facts(one, 1.0 - _FEWER * min(rank, 6))]
    said = "; ".join(f"{happened(shift)} from {moment(shift.onset)}" for shift in told)
    return Section(f"what carries each change (share of it, sample sizes): {said}", tuple(facts))


def _nothing(request: ContextRequest) -> str:
    start = request.window.start - LOOKBACK
    return (
        "nothing significant: latency, errors, volume, cost and quality of every slice are what they were "
        f"since {moment(start)}"
    )


async def _explained(session: ReadSession, request: ContextRequest, shift: Shift) -> list[Explained]:
    """The shift taken apart by all dimensions of requests, then by others: error codes, users."""
    spans = Spans.of(shift, request, LOOKBACK)
    one_user = len(request.scope.user_ids) == 1 and not request.scope.tiers
    if shift.metric is Metric.LATENCY:
        breakdown, latencies = await latency_breakdown(session, request, spans)
        return [await _attributed(shift, breakdown, latencies=latencies)]
    if shift.metric is Metric.QUALITY:
        return [await _attributed(shift, await quality_breakdown(session, request, spans))]
    if shift.metric is Metric.ERRORS:
        explained = [
            await _attributed(shift, await error_breakdown(session, request, spans)),
            await _attributed(shift, await code_breakdown(session, request, spans)),
        ]
        if not one_user:
            users, complete = await error_users(session, request, spans, shift)
            explained.append(await _attributed(shift, users, note=_sampled(complete)))
        return explained
    explained = [await _attributed(shift, await total_breakdown(session, request, spans, shift))]
    if one_user:
        return explained
    if not request.scope.deployment_ids:
        users = await user_breakdown(session, request, spans, shift)
        explained.insert(0, await _attributed(shift, users))
    elif shift.metric is Metric.VOLUME:
        users, complete = await volume_users(session, request, spans)
        explained.insert(0, await _attributed(shift, users, note=_sampled(complete)))
    return explained


def _sampled(complete: bool) -> str:
    return "" if complete else f"; of the newest {MOST_SAMPLED:,} requests"


async def _attributed(
    shift: Shift, breakdown: Breakdown, *, latencies: Latencies | None = None, note: str = ""
) -> Explained:
    # Lower scores are a larger loss, which is what is taken apart.
    rose = shift.rose != (shift.metric is Metric.QUALITY)
    drivers = await asyncio.to_thread(attribute, breakdown, rose=rose)
    return Explained(shift, tuple(drivers), breakdown, latencies, note)


def _facts(explained: Explained, importance: float) -> Iterator[Fact]:
    shift = explained.shift
    topics = topics_of(shift)
    for rank, driver in enumerate(explained.drivers):
        since = f"{happened(shift)} from {moment(shift.onset)}"
        head = f"{since}: {slice_name(driver.slice)} carries {_share(driver)}"
        also = f"; the same is seen as {listed_slices(driver.alike, 3)}" if driver.alike else ""
        text = f"{head}; {_figures(explained, driver)}{explained.note}{also}"
        yield Fact(text, head, importance - _FALLING * rank, topics, "drivers")


def _share(driver: Driver) -> str:
    share, size = (percent(round(part * 1000), 1000) for part in (driver.share, driver.size))
    if driver.slice.value_of("error_code") is not None:
        return f"{share} of the additional failures, {size} of the usual ones"
    return f"{share} of the change with {size} of the traffic"


def _figures(explained: Explained, driver: Driver) -> str:
    """After and before, with sample sizes."""
    metric, after, before = explained.shift.metric, driver.after, driver.before
    if metric is Metric.LATENCY and explained.latencies is not None:
        return _percentiles(explained.latencies, driver)
    if metric is Metric.ERRORS and driver.slice.value_of("user"):
        usual = percent(round(before.value * 1000), 1000)
        return f"{_failed(after.mass, after.weight)} since then, {usual} is usual of all"
    if metric is Metric.ERRORS and driver.slice.value_of("error_code") is None:
        return f"{_failed(after.mass, after.weight)} since then, {_failed(before.mass, before.weight)} before"
    if metric is Metric.QUALITY:
        return (
            f"mean score {1 - after.value:.2f} over {count(round(after.weight), 'score')} since then, "
            f"{1 - before.value:.2f} over {count(round(before.weight), 'score')} before"
        )
    expected = before.mass * (explained.breakdown.exposure or 0.0)
    if metric is Metric.ERRORS:
        return f"{count(round(after.mass), 'failed request')} since then, {_expected(expected)}"
    if metric is Metric.COST:
        return _spent(explained, driver)
    ratio = f" ({times(after.mass, expected)})" if expected else ""
    return f"{count(round(after.mass), 'request')} since then, {_expected(expected)}{ratio}"


def _failed(failed: float, requests: float) -> str:
    share = percent(round(failed), round(requests))
    return f"{round(failed):,} of {count(round(requests), 'request')} failed ({share})"


def _expected(number: float) -> str:
    return f"{f'about {round(number):,}' if number >= 1 else 'fewer than 1'} expected by the days before"


def _percentiles(latencies: Latencies, driver: Driver) -> str:
    after, before = (_merged(side, driver.cells) for side in (latencies.after, latencies.before))
    said = f"{_quantiles(after)} since then, {_quantiles(before)} before"
    if not after.total or not before.total:
        return said
    ratio = times(after.quantile(0.95) or 0.0, before.quantile(0.95) or 1.0)
    return f"{said}; p95 is {ratio} what it was"


def _merged(histograms: Sequence[Histogram], cells: Sequence[int]) -> Histogram:
    return Histogram.total_of(histograms[cell].counts for cell in cells)


def _quantiles(histogram: Histogram) -> str:
    if not histogram.total:
        return "no answered requests"
    p50, p95 = (milliseconds(histogram.quantile(q) or 0.0) for q in (0.5, 0.95))
    return f"p50 {p50}, p95 {p95} over {count(histogram.total, 'answered request')}"


def _spent(explained: Explained, driver: Driver) -> str:
    breakdown = explained.breakdown
    unit = breakdown.unit
    spent = Decimal(str(driver.after.mass * unit))
    expected = Decimal(str(driver.before.mass * (breakdown.exposure or 0.0) * unit))
    ratio = f" ({times(float(spent), float(expected))})" if expected else ""
    return (
        f"{dollars(spent)} for {count(round(driver.after.weight), 'request')} since then, about "
        f"{dollars(expected)} expected by the days before{ratio}"
    )


source = ContextSource(
    "drivers",
    "DR",
    ANY_CHANGE,
    3.0,
    read,
)
