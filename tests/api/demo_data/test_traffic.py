"""The week of requests, for any seed and any minute of the day."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from api.demo_data.chance import stream
from api.demo_data.generator import DemoData, generate
from api.demo_data.personas import BATCH_USER, USERS, UserRole
from api.demo_data.routing import BEFORE, choose, failover
from models import Tier

pytestmark = pytest.mark.long


ANCHORS = {
    "midnight": datetime(2026, 1, 1, tzinfo=UTC),
    "a minute later": datetime(2026, 1, 1, 0, 1, tzinfo=UTC),
    "night": datetime(2024, 2, 29, 3, 11, tzinfo=UTC),
    "noon": datetime(2031, 7, 6, 12, tzinfo=UTC),
    "last minute": datetime(2003, 12, 31, 23, 59, tzinfo=UTC),
}


@pytest.fixture(scope="module", params=list(ANCHORS))
def story(request: pytest.FixtureRequest) -> DemoData:
    return generate(list(ANCHORS).index(request.param), ANCHORS[request.param])


def p95(story: DemoData, *, premium: bool, changed: bool) -> int:
    """Latency of a tier group on all but the two deployments with an incident that touches latency."""
    latencies = sorted(
        sent.outcome.latency_ms
        for sent in story.requests
        if sent.outcome.latency_ms is not None
        and (sent.user.tier is Tier.PREMIUM) == premium
        and (sent.router_version != BEFORE.version) == changed
        and sent.deployment not in ("gpt-4/k8s", "llama-70b/neocloud")
    )
    return latencies[int(0.95 * len(latencies))]


def test_premium_is_slow_at_any_hour(story: DemoData) -> None:
    """The router change shows whatever part of the daily cycle the anchor cuts off."""
    assert p95(story, premium=True, changed=True) > 1.8 * p95(story, premium=True, changed=False)
    assert p95(story, premium=False, changed=True) < 1.2 * p95(story, premium=False, changed=False)


def test_the_outage_is_seen_at_any_hour(story: DemoData) -> None:
    """Even at night enough requests meet the outage, and most are rescued by the anchor."""
    start = story.anchor - timedelta(minutes=47)
    met = [
        sent
        for sent in story.requests
        if sent.deployment == "llama-70b/neocloud" and sent.created_at >= start
    ]
    rescued = [sent for sent in story.requests if sent.routing_reason["fallback_from"]]
    assert len(met) >= 9
    assert {sent.outcome.status.value for sent in met} <= {"error", "timeout", "pending"}
    assert len(rescued) >= len(met) // 3 - 1


def test_the_batch_nearly_spends_the_budget_of_any_day_however_young(story: DemoData) -> None:
    """The budget is that of the UTC day of the last minute; nobody is near theirs on any other day."""
    spent: defaultdict[tuple[str, date], Decimal] = defaultdict(Decimal)
    for sent in story.requests:
        share = sent.outcome.cost_usd / sent.user.daily_budget_usd
        spent[sent.user.public_id, sent.created_at.date()] += share
    last_day = (story.anchor - timedelta(minutes=1)).date()
    assert Decimal("0.9") < spent.pop((BATCH_USER.public_id, last_day)) < Decimal("1.05")
    assert max(spent.values()) < Decimal("0.7")


def test_ids_are_unique_and_times_in_order(story: DemoData) -> None:
    """Two requests never share an id, and the log is in the order in which they were made."""
    assert len({sent.public_id for sent in story.requests}) == len(story.requests)
    moments = [sent.created_at for sent in story.requests]
    assert moments == sorted(moments)
    assert story.anchor - timedelta(days=7) <= moments[0]
    assert moments[-1] < story.anchor


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.public_id)
def test_a_failover_leaves_the_deployment_and_keeps_the_model_where_it_can(user: UserRole) -> None:
    """The next candidate is another deployment, of the same model if the user has one."""
    for number in range(50):
        failed = choose(stream(number, "failover"), user, BEFORE)
        rescue = failover(failed, attempt=4)
        assert rescue.deployment != failed.deployment
        assert rescue.reason(7)["fallback_from"] == failed.deployment
        if failed.deployment == "llama-70b/neocloud":
            assert rescue.deployment == "llama-70b/k8s"
