"""Where nothing left its usual level, that is said with figures, beside those of the like period before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from context_builder.question.request import Window
from context_builder.source import Status
from context_builder.sources.calm import source
from models import FAILED_STATUSES
from tests.support.faulty_sources import failing, live, settle
from tests.support.gateway import DAY, HOUR, NOON, Gateway, asking

pytestmark = pytest.mark.asyncio(loop_scope="session")
WEEK = timedelta(days=7)


def figures(gateway: Gateway, window: Window) -> str:
    sent = gateway.sent_in(window)
    failed = sum(request.status in FAILED_STATUSES for request in sent)
    return f"{len(sent):,} requests, {failed:,} failed ({100 * failed / len(sent):.1f} %), p50 "


async def test_a_healthy_gateway_is_said_to_be_healthy_with_its_figures(gateway: Gateway) -> None:
    """One fact has the figures of the window, and says that none are known of a week earlier."""
    await settle(gateway)
    await live(gateway, seed=3)
    section = await gateway.read(source)
    (fact,) = section.facts
    now = figures(gateway, Window(NOON - DAY, NOON))
    assert fact.text.startswith(f"no metric of all requests left its usual level: {now}")
    assert fact.text.endswith("; 1 week earlier, 2026-03-02 12:00 to 2026-03-03 12:00: no requests recorded")
    assert fact.headline is not None
    assert fact.headline.alarm is False


async def test_the_like_period_is_the_same_time_of_the_week(gateway: Gateway) -> None:
    """Its figures are those of the same hours one week earlier."""
    await settle(gateway)
    await live(gateway, seed=3)
    for days in (3, 6, 9):
        earlier = [
            replace(one, public_id=f"{one.public_id}_{days}", created_at=one.created_at - days * DAY)
            for one in gateway.sent_in(Window(NOON - 3 * DAY, NOON))
        ]
        await gateway.append(earlier)
    (fact,) = (await gateway.read(source)).facts
    like = Window(NOON - DAY - WEEK, NOON - WEEK)
    assert f"2026-03-02 12:00 to 2026-03-03 12:00: {figures(gateway, like)}" in fact.text


async def test_a_gateway_with_a_fault_is_not_calm(gateway: Gateway) -> None:
    """Where something changed there is no fact, and the source does not apply."""
    await settle(gateway)
    await live(gateway, failing(0.6, NOON - 3 * HOUR, deployment_id=gateway.deployments["gpt-4/aws"]))
    section = await gateway.read(source)
    assert (section.status, section.facts, section.applies) == (Status.EMPTY, (), False)


async def test_the_figures_are_of_the_scope_alone(gateway: Gateway) -> None:
    """With a deployment in scope no request of another is counted."""
    await settle(gateway)
    await live(gateway, seed=3)
    (fact,) = (await gateway.read(source, asking(deployment_ids=gateway.id_of("gpt-4/aws")))).facts
    sent = gateway.sent_in(Window(NOON - DAY, NOON), deployment_id=gateway.deployments["gpt-4/aws"])
    assert f"left its usual level: {len(sent):,} requests, " in fact.text
