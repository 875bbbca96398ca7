"""Volumes are those of the sent requests, in any window and scope, by every dimension."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.queries import TrafficFilter, Volume, query_session, request_volume
from context_builder.question.request import QuestionError, Window
from models import FAILED_STATUSES, Tier
from models.request_log import NewRequest
from tests.support.gateway import FLEET, MINUTE, NOON, Gateway

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.both_databases]


def expected(sent: list[NewRequest], name_of: Callable[[NewRequest], str]) -> list[Volume]:
    groups = Counter(map(name_of, sent))
    return [
        Volume(
            name,
            number,
            sum(name_of(r) == name and r.status in FAILED_STATUSES for r in sent),
            sum(name_of(r) == name and r.status == "pending" for r in sent),
            dict(sorted(Counter(r.status for r in sent if name_of(r) == name).items())),
        )
        for name, number in sorted(groups.items(), key=lambda item: (-item[1], item[0]))
    ]


@given(
    st.integers(0, 8 * 24 * 60),
    st.integers(1, 300) | st.integers(1, 3 * 24 * 60),
    st.lists(st.sampled_from(FLEET), unique=True, max_size=3),
    st.lists(st.sampled_from(Tier), unique=True, max_size=2),
)
@settings(max_examples=30, deadline=None)
async def test_every_count_is_that_of_the_requests_sent(
    busy: Gateway, back: int, length: int, deployments: list[str], tiers: list[Tier]
) -> None:
    """Failures, pending requests and statuses match, and each dimension adds up to the total."""
    window = Window(NOON - (back + length) * MINUTE, NOON - back * MINUTE)
    filters = TrafficFilter(
        deployments=tuple(deployments), tiers=tuple(tiers), since=window.start, until=window.end, as_of=NOON
    )
    async with query_session(busy.database) as session:
        volume = await request_volume(session, filters)
    names = {number: name for name, number in busy.deployments.items()}
    sent = [
        r
        for r in busy.sent_in(window)
        if (not deployments or names[r.deployment_id] in deployments) and (not tiers or r.tier in tiers)
    ]
    assert (volume.since, volume.until) == (window.start, window.end)
    assert list(volume.by_tier) == expected(sent, lambda r: r.tier)
    assert list(volume.by_model) == expected(sent, lambda r: names[r.deployment_id].split("/")[0])
    assert list(volume.by_backend) == expected(sent, lambda r: names[r.deployment_id].split("/")[1])
    assert list(volume.by_deployment) == expected(sent, lambda r: names[r.deployment_id])
    assert [volume.total] == (expected(sent, lambda _: "all") or [Volume("all", 0, 0, 0, {})])
    if sent:
        assert volume.total.failure_rate == volume.total.failed / len(sent)
    else:
        assert volume.total.failure_rate is None


async def test_by_default_it_is_the_last_day_until_now(gateway: Gateway) -> None:
    """An empty database has volumes of zero."""
    async with query_session(gateway.database) as session:
        volume = await request_volume(session)
    assert (volume.until - volume.since).days == 1
    assert volume.as_of - volume.until < MINUTE
    assert (volume.total.requests, volume.by_tier) == (0, ())


async def test_names_that_are_not_known_are_refused(busy: Gateway) -> None:
    """An unknown name lists similar ones; an empty window is rejected."""
    async with query_session(busy.database) as session:
        with pytest.raises(QuestionError, match="backend 'k8' is not known; known names include k8s"):
            await request_volume(session, TrafficFilter(backends=("k8",)))
        with pytest.raises(QuestionError, match="is empty; since must be at least a minute before until"):
            await request_volume(session, TrafficFilter(since=NOON, until=NOON))
