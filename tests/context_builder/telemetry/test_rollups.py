"""Rollups read through these conditions equal the requests that were sent, for any window and scope."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, type_coerce

from context_builder.question.request import Window
from context_builder.telemetry.rollups import (
    baseline_window,
    concatenated_histograms,
    in_window,
    merge_histograms,
)
from context_builder.telemetry.user_spend import spend_in
from models import RequestRollup, Resolution
from models.histogram import Histogram
from models.tables.schema import Money
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST = NOON - 9 * DAY
MINUTES = 9 * 24 * 60


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Draw windows of the nine busy days, mostly short or with an edge on a whole hour."""
    start = draw(st.integers(0, MINUTES - 1) | st.integers(0, 9 * 24 - 1).map(lambda hour: 60 * hour))
    length = draw(st.integers(1, 200) | st.integers(1, MINUTES) | st.integers(1, 48).map(lambda n: 60 * n))
    return Window(FIRST + start * MINUTE, FIRST + min(start + length, MINUTES) * MINUTE)


@given(windows())
@settings(max_examples=60, deadline=None)
async def test_a_window_counts_exactly_its_requests(busy: Gateway, window: Window) -> None:
    """The start is inclusive, the end exclusive, and each request counts once, from hours or minutes."""
    async with busy.database.read() as session:
        counted = await session.scalar(
            select(func.coalesce(func.sum(RequestRollup.requests), 0)).where(in_window(RequestRollup, window))
        )
        buckets = spend_in(session, window)
        rows = await session.execute(
            select(buckets.c.user_id, type_coerce(func.sum(buckets.c.nano), Money)).group_by(
                buckets.c.user_id
            )
        )
        spent = {row[0]: row[1] for row in rows}
    sent = busy.sent_in(window)
    assert counted == len(sent)
    assert spent == {
        user_id: sum((r.cost_usd for r in sent if r.user_id == user_id), Decimal(0))
        for user_id in {r.user_id for r in sent}
    }


@given(windows())
@settings(max_examples=40, deadline=None)
async def test_a_window_reads_hours_if_possible(busy: Gateway, window: Window) -> None:
    """At most 59 minutes are read at each edge, however long the window is."""
    async with busy.database.read() as session:
        rows = await session.execute(
            select(RequestRollup.resolution, RequestRollup.bucket_start)
            .where(in_window(RequestRollup, window))
            .distinct()
        )
        buckets = rows.all()
    minutes = [start for resolution, start in buckets if resolution == Resolution.MINUTE]
    hours = [start for resolution, start in buckets if resolution == Resolution.HOUR]
    assert len(minutes) <= 2 * 59
    assert all(window.start <= hour and hour + HOUR <= window.end for hour in hours)
    assert not {minute.replace(minute=0) for minute in minutes} & set(hours)


async def test_an_empty_window_reads_nothing(busy: Gateway) -> None:
    """Just after midnight the current day has no whole minute yet."""
    async with busy.database.read() as session:
        for edge in (NOON, NOON - 90 * MINUTE, NOON - DAY):
            condition = in_window(RequestRollup, Window(edge, edge))
            assert await session.scalar(select(func.count()).where(condition)) == 0


@given(windows())
async def test_the_baseline_is_the_seven_days_before_the_window(window: Window) -> None:
    """In whole hours, without minute buckets, and without any of the window itself."""
    baseline = baseline_window(window)
    assert baseline.length == timedelta(days=7)
    assert baseline.end.minute == baseline.start.minute == 0
    assert timedelta(0) <= window.start - baseline.end < HOUR


@given(windows())
@settings(max_examples=25, deadline=None)
async def test_concatenated_histograms_equal_the_histogram_of_all_requests(
    busy: Gateway, window: Window
) -> None:
    """Neither database loses or changes a stored histogram."""
    async with busy.database.read() as session:
        gathered = await session.scalar(
            select(concatenated_histograms(session)).where(in_window(RequestRollup, window))
        )
    sent = [r.latency_ms for r in busy.sent_in(window) if r.latency_ms is not None]
    assert merge_histograms(gathered or "") == Histogram.of(sent)
