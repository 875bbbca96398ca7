"""Cells have every request of the scope once, in its slot, and nothing after the window."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context_builder.exploration.series.timeline import Timeline
from context_builder.exploration.series.traffic import MAX_USERS, Cells, read_traffic, read_users
from context_builder.question.request import ContextRequest, Window
from models import FAILED_STATUSES
from models.histogram import RELATIVE_ERROR
from models.request_log import NewRequest
from tests.support.gateway import DAY, FLEET, HOUR, MINUTE, NOON, TIER_OF, Gateway, asking
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

any_window = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Draw windows of up to two days with edges on any minute or on whole hours."""
    end = NOON - draw(st.integers(0, 5 * 24 * 60) | st.integers(0, 5 * 24).map(lambda n: 60 * n)) * MINUTE
    return Window(end - draw(st.integers(1, 2 * 24 * 60)) * MINUTE, end)


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Draw any deployments, tiers or users; none of a kind does not restrict it."""
    return {
        "deployments": tuple(draw(st.lists(st.sampled_from(FLEET), max_size=2, unique=True))),
        "tiers": tuple(draw(st.lists(st.sampled_from(sorted(set(TIER_OF.values()))), max_size=2))),
        "users": tuple(draw(st.lists(st.sampled_from(sorted(TIER_OF)), max_size=1))),
    }


def about(gateway: Gateway, window: Window, scope: dict[str, tuple[str, ...]]) -> ContextRequest:
    """Return a question about a window and a scope, asked at its end."""
    return asking(
        window.end,
        since=window.start,
        deployment_ids=gateway.id_of(*scope["deployments"]),
        tiers=scope["tiers"],
        user_ids=gateway.id_of(*scope["users"]),
    )


def sent_in(gateway: Gateway, timeline: Timeline, scope: dict[str, tuple[str, ...]]) -> list[NewRequest]:
    """Return the requests of a scope; a user is represented by the tier."""
    ids = gateway.id_of(*scope["deployments"])
    tiers = {*scope["tiers"], *(TIER_OF[user] for user in scope["users"])}
    return [
        request
        for request in gateway.sent_in(Window(timeline.start, timeline.end))
        if (not ids or request.deployment_id in ids) and (not tiers or request.tier in tiers)
    ]


def by_cell(cells: Cells, dimension: str, values: Iterable[float]) -> dict[tuple[int, str], float]:
    """Sum by slot and by the value of a dimension."""
    found: dict[tuple[int, str], float] = defaultdict(float)
    for slot, place, value in zip(cells.slot, cells.value[dimension], values, strict=True):
        found[int(slot), cells.names[dimension][place]] += value
    return dict(found)


@given(windows(), scopes(), st.sampled_from((timedelta(0), HOUR, 3 * DAY, 7 * DAY)))
@any_window
async def test_cells_count_what_was_sent(
    busy: Gateway, window: Window, scope: dict[str, tuple[str, ...]], lookback: timedelta
) -> None:
    """Requests, failures and dollars by slot and deployment; answered requests with their latencies."""
    timeline = Timeline.of(window, lookback)
    async with rollups_of(busy.database) as rollups:
        cells = await read_traffic(rollups, about(busy, window, scope), timeline)
    names = {number: name for name, number in busy.deployments.items()}
    requests: Counter[tuple[int, str]] = Counter()
    failed: Counter[tuple[int, str]] = Counter()
    sent = sent_in(busy, timeline, scope)
    for request in sent:
        key = timeline.slot_of(request.created_at), names[request.deployment_id]
        requests[key] += 1
        failed[key] += request.status in FAILED_STATUSES
    assert by_cell(cells, "deployment", cells.requests) == requests
    assert by_cell(cells, "deployment", cells.failed) == failed
    assert cells.cost_usd.sum() == pytest.approx(float(sum(request.cost_usd for request in sent)))
    answered = [math.log(max(1, r.latency_ms or 1)) for r in sent if r.status == "success"]
    assert cells.timed.sum() == len(answered)
    assert cells.log_sum.sum() == pytest.approx(sum(answered), abs=1.1 * RELATIVE_ERROR * len(answered))
    assert cells.by_slot(cells.requests).sum() == len(sent)
    tiers = {tier for (_, tier) in by_cell(cells, "tier", cells.requests)}
    assert tiers == {request.tier for request in sent}


@given(windows(), st.sampled_from(sorted(TIER_OF)))
@any_window
async def test_cells_of_users_count_what_they_sent(busy: Gateway, window: Window, name: str) -> None:
    """By slot, of one user in scope or of all; none with a deployment in scope, which user totals lack."""
    timeline = Timeline.of(window, 3 * DAY)
    span = Window(timeline.start, timeline.end)
    async with rollups_of(busy.database) as rollups:
        everyone = await read_users(rollups, asking(window.end, since=window.start), timeline)
        one = await read_users(
            rollups, asking(window.end, since=window.start, user_ids=busy.id_of(name)), timeline
        )
        lacking = await read_users(rollups, asking(window.end, deployment_ids=(1,)), timeline)
    assert lacking is None
    for cells, users in ((everyone, set(TIER_OF)), (one, {name})):
        assert cells is not None
        requests: Counter[tuple[int, str]] = Counter()
        failed: Counter[tuple[int, str]] = Counter()
        for user in users:
            for request in busy.sent_in(span, user_id=busy.users[user][0]):
                cell = timeline.slot_of(request.created_at), user
                requests[cell] += 1
                failed[cell] += request.status in FAILED_STATUSES
        assert by_cell(cells, "user", cells.requests) == requests
        assert by_cell(cells, "user", cells.failed) == failed


async def test_the_busiest_users_are_those_of_the_window(gateway: Gateway) -> None:
    """What users send after the window does not matter."""
    await gateway.deployment()
    names = [f"user_{number:02}" for number in range(MAX_USERS + 3)]
    for number, name in enumerate(names):
        await gateway.user(name)
        await gateway.send(*[NOON - 40 * MINUTE] * (20 - number), user=name)
    request = asking(NOON - 30 * MINUTE, since=NOON - 50 * MINUTE)
    timeline = Timeline.of(request.window, DAY)

    async def chosen() -> list[str]:
        async with rollups_of(gateway.database) as rollups:
            cells = await read_users(rollups, request, timeline)
        assert cells is not None
        return cells.names["user"]

    assert await chosen() == names[:MAX_USERS]
    await gateway.send(*[NOON - 20 * MINUTE] * 50, user=names[-1])
    await gateway.send(*[NOON - 55 * MINUTE] * 50, user=names[-2])
    assert await chosen() == names[:MAX_USERS]
