"""Breakdowns have every request of the scope once, on the right side of the onset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context_builder.exploration.breakdown import (
    ComparedSpans,
    code_breakdown,
    error_breakdown,
    latency_breakdown,
    quality_breakdown,
    total_breakdown,
    user_breakdown,
)
from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.drivers import Breakdown
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from context_builder.question.request import Window
from models import FAILED_STATUSES
from models.request_log import NewRequest
from tests.support.faulty_sources import USERS, WORSE_SINCE
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOOKBACK = 7 * DAY


def shift(metric: Metric, onset: int, lasted: int) -> ChangePoint:
    """Return a change that began so many minutes before NOON and lasted so long, or until now."""
    start = NOON - onset * MINUTE
    return ChangePoint(
        metric=metric, slice=Slice(), onset=start, earliest=start, latest=start,
        until=start + lasted * MINUTE if lasted < onset else None,
        after=2, before=1, counted=100, expected_per_hour=100, expected=50, exposure=0.5, evidence=99,
    )  # fmt: skip


def sums(breakdown: Breakdown, dimension: str, value: str) -> tuple[float, float, float, float]:
    """Return weight and mass after and before of all cells with a value."""
    cells = [place for place, one in enumerate(breakdown.values[dimension]) if one == value]
    columns = (breakdown.weight, breakdown.mass, breakdown.past_weight, breakdown.past_mass)
    weight, mass, past_weight, past_mass = (float(column[cells].sum()) for column in columns)
    return weight, mass, past_weight, past_mass


def failed(requests: Sequence[NewRequest]) -> int:
    return sum(request.status in FAILED_STATUSES for request in requests)


@given(
    onset=st.integers(1, 24 * 60) | st.integers(1, 23).map(lambda n: 60 * n),
    lasted=st.integers(1, 24 * 60),
    deployments=st.sampled_from(((), ("gpt-4/aws",))),
    tiers=st.sampled_from(((), ("premium",), ("premium", "budget"))),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_request_is_counted_once_on_its_side(
    busy: Gateway, onset: int, lasted: int, deployments: tuple[str, ...], tiers: tuple[str, ...]
) -> None:
    """By deployment, tier, task, version, user and error code, for any onset, end and scope."""
    request = asking(deployment_ids=busy.id_of(*deployments), tiers=tiers)
    one = shift(Metric.VOLUME, onset, lasted)
    spans = ComparedSpans.of(one, request, LOOKBACK)
    assert spans.before.end == spans.after.start == one.onset
    assert spans.after.end == (one.until or NOON)
    async with rollups_of(busy.database) as rollups:
        errors = await error_breakdown(rollups, request, spans)
        totals = await total_breakdown(rollups, request, spans, one)
        latencies, histograms = await latency_breakdown(rollups, request, spans)
        codes = await code_breakdown(rollups, request, spans)
        users = await user_breakdown(rollups, request, spans, one)
    names = {number: name for name, number in busy.deployments.items()}
    sides = [
        [
            sent
            for sent in busy.sent_in(window)
            if names[sent.deployment_id] in (deployments or names.values())
            and sent.tier in (tiers or ("premium", "standard", "budget"))
        ]
        for window in (spans.after, spans.before)
    ]
    dimensions: list[tuple[str, Callable[[Any], str]]] = [
        ("deployment", lambda sent: names[sent.deployment_id]),
        ("tier", lambda sent: sent.tier),
        ("task_type", lambda sent: sent.task_type or ""),
        ("router_version", lambda sent: sent.router_version or ""),
        ("model", lambda sent: names[sent.deployment_id].partition("/")[0]),
    ]
    for dimension, of in dimensions:
        for value in {of(sent) for side in sides for sent in side}:
            after, before = ([sent for sent in side if of(sent) == value] for side in sides)
            expected = (len(after), failed(after), len(before), failed(before))
            assert sums(errors, dimension, value) == expected, (dimension, value)
            if dimension != "router_version":
                counted = (len(after), len(after), len(before), len(before))
                assert sums(totals, dimension, value) == counted
    answered = [sum(sent.status == "success" for sent in side) for side in sides]
    assert [latencies.weight.sum(), latencies.past_weight.sum()] == answered
    assert [sum(h.total for h in side) for side in (histograms.after, histograms.before)] == answered
    assert (latencies.mass <= latencies.weight).all()
    for column, side in zip((codes.mass, codes.past_mass), sides, strict=True):
        found: Counter[str] = Counter()
        for value, number in zip(codes.values["error_code"], column, strict=True):
            found[value] += int(number)
        assert found == Counter(s.error_code or s.status for s in side if s.status in FAILED_STATUSES)
    if not deployments:
        for name, (number, _) in busy.users.items():
            expected_of = [sum(sent.user_id == number for sent in side) for side in sides]
            weight, _, past, _ = sums(users, "user", name)
            assert [weight, past] == expected_of


async def test_money_is_counted_in_the_mean_cost_of_a_request(busy: Gateway) -> None:
    """Masses times the unit are the dollars spent on each side."""
    one = shift(Metric.COST, 300, 9999)
    spans = ComparedSpans.of(one, asking(), LOOKBACK)
    async with rollups_of(busy.database) as rollups:
        for breakdown in (
            await total_breakdown(rollups, asking(), spans, one),
            await user_breakdown(rollups, asking(), spans, one),
        ):
            for mass, window in ((breakdown.mass, spans.after), (breakdown.past_mass, spans.before)):
                spent = float(sum(sent.cost_usd for sent in busy.sent_in(window)))
                assert mass.sum() * breakdown.unit == pytest.approx(spent)


@pytest.mark.parametrize("user", [None, "user_a"])
async def test_scores_are_counted_by_whole_hours_of_the_window(troubled: Gateway, user: str | None) -> None:
    """What is missing to a perfect score, of the answers whose scores had arrived in those hours.

    A user stands for all of his tier.
    """
    window = Window(NOON - DAY, NOON - 3 * HOUR - 20 * MINUTE)
    users = troubled.id_of(user) if user else ()
    request = asking(since=window.start, until=window.end, user_ids=users)
    onset = round((NOON - WORSE_SINCE) / MINUTE)
    spans = ComparedSpans.of(shift(Metric.QUALITY, onset, 9999), request, LOOKBACK)
    async with rollups_of(troubled.database) as rollups:
        breakdown = await quality_breakdown(rollups, request, spans)
    whole = Window(WORSE_SINCE, window.end.replace(minute=0))
    for name, number in troubled.deployments.items():
        weight, missing, past_weight, past_missing = sums(breakdown, "deployment", name)
        of = {"deployment_id": number, "status": "success"} | ({"tier": USERS[user]} if user else {})
        assert weight == len(troubled.sent_in(whole, **of))
        assert past_weight == len(troubled.sent_in(spans.before, **of))
        assert missing / weight == pytest.approx(0.5 if name == "mistral/gcp" else 0.15, abs=0.03)
        assert past_missing / past_weight == pytest.approx(0.15, abs=0.03)
