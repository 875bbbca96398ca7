"""Latency trends: p50, p95 and p99 of the scope, bucket by bucket."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from context_builder.queries.scope import ALL_TRAFFIC, TrafficFilter, TrafficScope, resolve_traffic
from context_builder.question.request import QuestionError, Window
from context_builder.telemetry.rollups import (
    concatenated_histograms,
    in_window,
    in_window_by_minute,
    merge_histograms,
)
from context_builder.text.wire import WIRE
from models import RequestRollup
from models.database import ReadSession
from models.histogram import Histogram

BUCKETS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
}
"""Accepted bucket widths; buckets are aligned to midnight UTC."""
MAX_BUCKETS = 1_500
_DEFAULT_MAX_BUCKETS = 200
"""Maximum number of buckets if the caller chooses no width."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latency of the timed requests in a span, in ms, within 2 % of a sample; None without any."""

    since: datetime
    until: datetime
    timed: int
    """Requests with a latency, whatever their status."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class LatencyTrends:
    """Percentiles of a window, overall and by bucket."""

    __pydantic_config__ = WIRE

    as_of: datetime
    since: datetime
    until: datetime
    bucket: str
    overall: Percentiles
    buckets: tuple[Percentiles, ...]
    """Contiguous, in order; the first and the last are cut off at the window's ends."""


async def latency_trends(
    session: ReadSession, filters: TrafficFilter = ALL_TRAFFIC, *, bucket: str | None = None
) -> LatencyTrends:
    """Return percentiles of the window, by default the last 24 hours, from the rollups' histograms.

    `bucket` is one of BUCKETS; None chooses the narrowest that makes at most 200 of them.

    Raises:
        QuestionError: A name, a time or the bucket is invalid, or there are more than MAX_BUCKETS buckets.
    """
    traffic = await resolve_traffic(session, filters)
    bucket = _choose_bucket(bucket, traffic.window)
    width = BUCKETS[bucket]
    rows = await _load_histograms(session, traffic, width)
    # Merging the histograms of a long window takes a while; a thread keeps the event loop free.
    overall, buckets = await asyncio.to_thread(_percentiles, rows, traffic.window, width)
    return LatencyTrends(
        traffic.moment.as_of, traffic.window.start, traffic.window.end, bucket, overall, buckets
    )


def _choose_bucket(bucket: str | None, window: Window) -> str:
    """Return the name of the bucket width to use."""
    if bucket is None:
        fitting = (
            name for name, width in BUCKETS.items() if _count_buckets(window, width) <= _DEFAULT_MAX_BUCKETS
        )
        bucket = next(fitting, list(BUCKETS)[-1])
    if bucket not in BUCKETS:
        raise QuestionError(f"bucket {bucket!r} cannot be used; accepted are {', '.join(BUCKETS)}")
    number = _count_buckets(window, BUCKETS[bucket])
    if number > MAX_BUCKETS:
        raise QuestionError(
            f"the window has {number:,} buckets of {bucket}; at most {MAX_BUCKETS:,} are accepted: "
            "use a wider bucket or a shorter window"
        )
    return bucket


def _count_buckets(window: Window, width: timedelta) -> int:
    return -(-(window.end - _floor(window.start, width)) // width)


def _floor(moment: datetime, width: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % width


async def _load_histograms(
    session: ReadSession, traffic: TrafficScope, width: timedelta
) -> list[tuple[datetime, str]]:
    """Load the concatenated histograms of each rollup bucket."""
    whole_hours = width >= timedelta(hours=1)
    covers = in_window if whole_hours else in_window_by_minute
    rows = await session.execute(
        select(RequestRollup.bucket_start, concatenated_histograms(session))
        .where(
            covers(RequestRollup, traffic.window),
            RequestRollup.slowest_ms.is_not(None),
            traffic.condition(RequestRollup),
        )
        .group_by(RequestRollup.bucket_start)
    )
    return [(row[0], row[1]) for row in rows]


def _percentiles(
    rows: Iterable[tuple[datetime, str]], window: Window, width: timedelta
) -> tuple[Percentiles, tuple[Percentiles, ...]]:
    gathered: defaultdict[datetime, list[str]] = defaultdict(list)
    for start, histogram in rows:
        gathered[_floor(start, width)].append(histogram)
    everything = "".join(part for parts in gathered.values() for part in parts)
    overall = _percentiles_of(window.start, window.end, merge_histograms(everything))
    return overall, tuple(
        _percentiles_of(
            max(start, window.start),
            min(start + width, window.end),
            merge_histograms("".join(gathered.get(start, ()))),
        )
        for start in _bucket_starts(window, width)
    )


def _bucket_starts(window: Window, width: timedelta) -> Iterator[datetime]:
    start = _floor(window.start, width)
    while start < window.end:
        yield start
        start += width


def _percentiles_of(since: datetime, until: datetime, histogram: Histogram) -> Percentiles:
    quantiles = (histogram.quantile(fraction) for fraction in (0.5, 0.95, 0.99))
    return Percentiles(since, until, histogram.total, *quantiles)
