"""An onset known to the slot is found to the minute, in its slice alone."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.refinement import refine_onset
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from context_builder.question.request import ContextRequest
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

TURN = NOON - 47 * MINUTE
COARSE = NOON - 60 * MINUTE
LEVELS = {
    Metric.LATENCY: (4.0, 1.0),
    Metric.ERRORS: (0.5, 0.0),
    Metric.VOLUME: (4.0, 1.0),
    Metric.COST: (4.0, 1.0),
}
PER_MINUTE = 3


def shift(metric: Metric, one: Slice, **values: Any) -> ChangePoint:
    """Return a change that began between an hour and half an hour before NOON."""
    after, before = LEVELS.get(metric, (0.5, 0.9))
    given: dict[str, Any] = {
        "onset": COARSE, "earliest": COARSE, "latest": NOON - 30 * MINUTE, "until": None,
        "after": after, "before": before, "counted": 100.0, "expected": 100.0, "exposure": 1.0,
        "evidence": 100.0, "expected_per_hour": 60.0 * PER_MINUTE,
    }  # fmt: skip
    return ChangePoint(metric=metric, slice=one, **given | values)


async def changed(gateway: Gateway) -> None:
    """Create two hours in which everything changes for one user at TURN, and nothing for another."""
    chance = random.Random(2)  # noqa: S311  test data
    await gateway.deployment("gpt-4/aws", "mistral/gcp")
    await gateway.user("user_a", "premium")
    await gateway.user("user_b", "budget")
    requests = []
    for number in range(120):
        at = NOON - (120 - number) * MINUTE
        away = at >= TURN
        requests += [
            gateway.request(
                at + timedelta(seconds=chance.randrange(60)),
                latency_ms=round(200 * chance.lognormvariate(0, 0.3) * (4 if away else 1)),
                status="error" if away and chance.random() < 0.5 else "success",
                cost_usd=Decimal("0.01"),
            )
            for _ in range(PER_MINUTE * (4 if away else 1))
        ]
        requests += [
            gateway.request(at, user="user_b", deployment="mistral/gcp", cost_usd=Decimal("0.01"))
            for _ in range(PER_MINUTE)
        ]
    await gateway.append(requests)


async def found(gateway: Gateway, one: ChangePoint, request: ContextRequest | None = None) -> ChangePoint:
    async with rollups_of(gateway.database) as rollups:
        return await refine_onset(rollups, request or asking(), one)


def is_near(one: ChangePoint, turn: datetime = TURN) -> bool:
    """Return whether the onset is within a minute of the true one, in a short interval around it."""
    near = one.earliest - MINUTE <= turn <= one.latest + MINUTE and one.latest - one.earliest <= 8 * MINUTE
    return near and abs(one.onset - turn) <= 2 * MINUTE and one.earliest <= one.onset <= one.latest


async def test_an_onset_is_found_to_the_minute(gateway: Gateway) -> None:
    """In each metric recorded by the minute, of a deployment, a tier, both, and a user."""
    await changed(gateway)
    deployment, tier = ("deployment", "gpt-4/aws"), ("tier", "premium")
    for metric in LEVELS:
        for values in ((deployment,), (tier,), (deployment, tier)):
            assert is_near(await found(gateway, shift(metric, Slice(values)))), (metric, values)
    for metric in (Metric.ERRORS, Metric.VOLUME, Metric.COST):
        assert is_near(await found(gateway, shift(metric, Slice((("user", "user_a"),))))), metric


async def test_refinement_changes_only_the_onset(gateway: Gateway) -> None:
    """Scores are recorded by the hour, and so are their onsets."""
    await changed(gateway)
    one = shift(Metric.ERRORS, Slice((("tier", "premium"),)))
    finer = await found(gateway, one)
    assert (finer.after, finer.before, finer.counted, finer.until) == (
        one.after, one.before, one.counted, one.until,
    )  # fmt: skip
    quality = shift(Metric.QUALITY, Slice())
    assert await found(gateway, quality) == quality


async def test_nothing_after_the_window_or_the_end_is_read(gateway: Gateway) -> None:
    """Later requests change nothing; the end of the change is a limit as well."""
    await changed(gateway)
    one = shift(Metric.ERRORS, Slice((("tier", "premium"),)), latest=NOON - 40 * MINUTE)
    past = asking(NOON - 40 * MINUTE)
    before = await found(gateway, one, past)
    await gateway.send(*(NOON - 40 * MINUTE + n * MINUTE for n in range(10)), status="success")
    assert await found(gateway, one, past) == before
    assert before.latest <= past.window.end


async def test_without_requests_nothing_is_refined(gateway: Gateway) -> None:
    """Onsets without requests around them, just now, or with an interval of days remain unchanged."""
    silent = shift(Metric.ERRORS, Slice())
    assert await found(gateway, silent) == silent
    now = shift(Metric.ERRORS, Slice(), onset=NOON, earliest=NOON, latest=NOON)
    assert (await found(gateway, now)).onset <= NOON
    await changed(gateway)
    long = shift(Metric.ERRORS, Slice(), earliest=NOON - 5 * DAY, latest=NOON - HOUR)
    assert (await found(gateway, long)).earliest >= NOON - 5 * DAY - HOUR
