"""Trends are the percentiles of the sent requests, bucket by bucket, without gaps."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.queries import Percentiles, TrafficFilter, latency_trends, query_session
from context_builder.queries.latency_trends import BUCKETS
from context_builder.question.request import QuestionError, Window
from models.histogram import RELATIVE_ERROR
from models.request_log import NewRequest
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.both_databases]

MIDNIGHT = NOON.replace(hour=0)


def assert_of(told: Percentiles, sent: list[NewRequest]) -> None:
    """Each percentile is within the documented error of a sample."""
    samples = sorted(r.latency_ms for r in sent if r.latency_ms is not None)
    assert told.timed == len(samples)
    for value, fraction in ((told.p50_ms, 0.5), (told.p95_ms, 0.95), (told.p99_ms, 0.99)):
        if not samples:
            assert value is None
            continue
        sample = samples[int(fraction * (len(samples) - 1))]
        assert value == pytest.approx(max(sample, 1), rel=RELATIVE_ERROR + 1e-9)


@given(
    st.integers(0, 8 * 24 * 60),
    st.integers(1, 300) | st.integers(1, 1440),
    st.sampled_from([None, *BUCKETS]),
    st.sampled_from([(), ("premium",), ("standard", "budget")]),
)
@settings(max_examples=40, deadline=None)
async def test_every_bucket_is_that_of_the_requests_sent(
    busy: Gateway, back: int, length: int, bucket: str | None, tiers: tuple[str, ...]
) -> None:
    """Buckets cover any window, also one that starts and ends within a bucket."""
    since, until = NOON - (back + length) * MINUTE, NOON - back * MINUTE
    filters = TrafficFilter(tiers=tiers, since=since, until=until, as_of=NOON)
    async with query_session(busy.database) as session:
        trends = await latency_trends(session, filters, bucket=bucket)
    assert bucket in (None, trends.bucket)
    width = BUCKETS[trends.bucket]
    assert (trends.buckets[0].since, trends.buckets[-1].until) == (since, until)
    for one, following in zip(trends.buckets, trends.buckets[1:], strict=False):
        assert one.until == following.since
        assert (one.until - MIDNIGHT) % width == timedelta(0)
    for one in (*trends.buckets, trends.overall):
        sent = busy.sent_in(Window(one.since, one.until))
        assert_of(one, [r for r in sent if not tiers or r.tier in tiers])


@pytest.mark.parametrize(
    ("length", "bucket"), [(HOUR, "1m"), (DAY, "15m"), (7 * DAY, "1h"), (30 * DAY, "6h"), (700 * DAY, "1d")]
)
async def test_without_a_width_the_narrowest_that_is_readable_is_taken(
    gateway: Gateway, length: timedelta, bucket: str
) -> None:
    """The default bucket suits the length of the window."""
    filters = TrafficFilter(since=NOON - length, as_of=NOON)
    async with query_session(gateway.database) as session:
        assert (await latency_trends(session, filters)).bucket == bucket


@pytest.mark.parametrize(
    ("since", "bucket", "said"),
    [
        (NOON - DAY, "2h", "bucket '2h' cannot be used; accepted are 1m, 5m"),
        (NOON - 2 * DAY, "1m", "has 2,880 buckets of 1m; at most 1,500"),
        (datetime.fromtimestamp(0, NOON.tzinfo), None, "use a wider bucket or a shorter window"),
    ],
)
async def test_what_cannot_be_cut_so_is_refused(
    gateway: Gateway, since: datetime, bucket: str | None, said: str
) -> None:
    """The error says what is accepted."""
    async with query_session(gateway.database) as session:
        with pytest.raises(QuestionError, match=said):
            await latency_trends(session, TrafficFilter(since=since, as_of=NOON), bucket=bucket)
