"""Rollups read through these conditions equal the requests that were sent, for any window and scope."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from context_builder.question.request import Window
from context_builder.telemetry.rollups import (
    baseline_window,
    concatenated_histograms,
    in_window,
    merge_histograms,
    rollup_scope,
)
from models import RequestRollup, Resolution, User, UserSpend
from models.histogram import Histogram
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking

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
        rows = await session.execute(
            select(UserSpend.user_id, func.sum(UserSpend.cost_usd))
            .where(in_window(UserSpend, window))
            .group_by(UserSpend.user_id)
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


async def _requests(gateway: Gateway, **scope: Any) -> tuple[int, tuple[str, ...]]:
    """Return the requests of the last day in a scope, and the gaps."""
    request = asking(**scope)
    async with gateway.database.read() as session:
        rollups = await rollup_scope(session, request)
        counted = await session.scalar(
            select(func.coalesce(func.sum(RequestRollup.requests), 0)).where(
                in_window(RequestRollup, request.window), rollups.condition
            )
        )
    return counted or 0, rollups.gaps


async def test_deployments_and_tiers_restrict_together(busy: Gateway) -> None:
    """An empty scope is everything; both are the requests of that tier on that deployment."""
    window = asking().window
    here = busy.id_of("gpt-4/aws", "mistral/gcp")
    expected = {
        (): busy.sent_in(window),
        here: [r for r in busy.sent_in(window) if r.deployment_id in here],
    }
    for deployments, sent in expected.items():
        assert (await _requests(busy, deployment_ids=deployments)) == (len(sent), ())
        premium = [r for r in sent if r.tier == "premium"]
        assert 0 < len(premium) < len(sent)
        assert await _requests(busy, deployment_ids=deployments, tiers=("premium",)) == (len(premium), ())


async def test_a_user_is_represented_by_the_tier_and_that_is_a_gap(busy: Gateway) -> None:
    """Figures cover the user's tier and any other tier in scope."""
    window = asking().window
    counted, gaps = await _requests(busy, user_ids=busy.id_of("user_a"))
    assert counted == len(busy.sent_in(window, tier="premium"))
    assert gaps == ("figures per user; those here cover all users of tier premium",)
    counted, gaps = await _requests(busy, user_ids=busy.id_of("user_a"), tiers=("budget",))
    assert counted == len(busy.sent_in(window, tier="premium")) + len(busy.sent_in(window, tier="budget"))
    assert gaps == ("figures per user; those here cover all users of tier budget, premium",)


async def test_a_tier_that_changed_later_is_not_used(gateway: Gateway) -> None:
    """No figures are better than those of the wrong tier."""
    await gateway.deployment()
    await gateway.user("user_a", "premium")
    await gateway.user("user_b", "standard")
    await gateway.send(NOON - HOUR, user="user_a")
    await gateway.send(NOON - HOUR, NOON - 2 * HOUR, user="user_b")
    await gateway.change(User, "user_a", tier="standard", updated_at=NOON + HOUR)
    counted, gaps = await _requests(gateway, user_ids=gateway.id_of("user_a"))
    assert counted == 0
    assert gaps == (
        "figures per user; those here cover all users of tier unknown",
        "the tier at this moment of user_a, whose tier or budget changed later",
    )
    counted, gaps = await _requests(gateway, user_ids=gateway.id_of("user_a", "user_b"))
    assert counted == 2
    assert "the tier at this moment of user_a" in gaps[1]


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
