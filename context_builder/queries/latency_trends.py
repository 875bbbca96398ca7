"""Latency trends: p50, p95 and p99 of the scope, bucket by bucket."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from context_builder.queries.traffic import ALL_TRAFFIC, Traffic, TrafficFilter, traffic_of
from context_builder.question.request import QuestionError, Window
from context_builder.telemetry.rollups import concatenated_histograms, in_minutes, in_window, merge_histograms
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
"""Widths that a bucket may have; each begins at a multiple of its width after midnight UTC."""
MAX_BUCKETS = 1_500
_USUAL_BUCKETS = 200
"""How many buckets a window is cut into at the most where the caller chooses no width."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latency of the timed requests of a span, in ms, within 2 % of a sample; None without any."""

    since: datetime
    until: datetime
    timed: int
    """Requests that have a latency, however they ended."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class LatencyTrends:
    """Percentiles of a window, whole and in buckets."""

    __pydantic_config__ = WIRE

    as_of: datetime
    since: datetime
    until: datetime
    bucket: str
    overall: Percentiles
    buckets: tuple[Percentiles, ...]
    """Without a hole, in order; the first and the last are cut off at the window's ends."""


async def latency_trends(
    session: ReadSession, filters: TrafficFilter = ALL_TRAFFIC, *, bucket: str | None = None
) -> LatencyTrends:
    """Percentiles of the window, by default the last 24 hours, from the rollups' histograms.

    `bucket` is one of BUCKETS; None takes the narrowest that makes no more than 200 of them. Raises
    QuestionError for names and times that cannot be used, and for more than MAX_BUCKETS buckets.
    """
    traffic = await traffic_of(session, filters)
    bucket = _checked(bucket, traffic.window)
    width = BUCKETS[bucket]
    rows = await _histograms(session, traffic, width)
    # Merging the histograms of a long window takes a while; others go on meanwhile.
    overall, buckets = await asyncio.to_thread(_percentiles, rows, traffic.window, width)
    return LatencyTrends(
        traffic.moment.as_of, traffic.window.start, traffic.window.end, bucket, overall, buckets
    )


def _checked(bucket: str | None, window: Window) -> str:
    """The width to use."""
    if bucket is None:
        fitting = (name for name, width in BUCKETS.items() if _number(window, width) <= _USUAL_BUCKETS)
        bucket = next(fitting, list(BUCKETS)[-1])
    if bucket not in BUCKETS:
        raise QuestionError(f"bucket {bucket!r} cannot be used; accepted are {', '.join(BUCKETS)}")
    number = _number(window, BUCKETS[bucket])
    if number > MAX_BUCKETS:
        raise QuestionError(
            f"the window has {number:,} buckets of {bucket}; at most {MAX_BUCKETS:,} are accepted: "
            "take wider ones or a shorter window"
        )
    return bucket


def _number(window: Window, width: timedelta) -> int:
    return -(-(window.end - _floor(window.start, width)) // width)


def _floor(moment: datetime, width: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % width


async def _histograms(session: ReadSession, traffic: Traffic, width: timedelta) -> list[tuple[datetime, str]]:
    """The histograms of each bucket of the rollups."""
    whole_hours = width >= timedelta(hours=1)
    covers = in_window if whole_hours else in_minutes
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
    overall = _of(window.start, window.end, merge_histograms(everything))
    return overall, tuple(
        _of(
            max(start, window.start),
            min(start + width, window.end),
            merge_histograms("".join(gathered.get(start, ()))),
        )
        for start in _starts(window, width)
    )


def _starts(window: Window, width: timedelta) -> Iterator[datetime]:
    start = _floor(window.start, width)
    while start < window.end:
        yield start
        start += width


def _of(since: datetime, until: datetime, histogram: Histogram) -> Percentiles:
    quantiles = (histogram.quantile(fraction) for fraction in (0.5, 0.95, 0.99))
    return Percentiles(since, until, histogram.total, *quantiles)
