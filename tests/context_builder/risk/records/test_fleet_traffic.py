"""What the policy reads: every stored request counts once, and only what ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.risk.policy.breaker import BreakerState, BreakerTransition
from context_builder.risk.policy.outcomes import Observed
from context_builder.risk.records.fleet_traffic import FleetTraffic, TrafficReader
from context_builder.risk.records.stored_outlooks import stored_outlooks
from context_builder.risk.records.transition_log import last_transitions, store_transitions
from context_builder.risk.request_latency import EndedRequest
from models import RiskForecast
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway, people

SECOND = timedelta(seconds=1)
AWS = "gpt-4/aws"


async def look(gateway: Gateway, reader: TrafficReader, limit_ms: float = 1000.0) -> FleetTraffic:
    async with gateway.database.read() as session:
        return await reader.read(session, NOON, {gateway.deployments[AWS]: limit_ms})


@pytest.mark.both_databases
@pytest.mark.asyncio(loop_scope="session")
async def test_each_request_is_counted_once_by_what_came_of_it(gateway: Gateway) -> None:
    """Slow ones are those above the deployment's own limit, and pending ones have not ended."""
    await people(gateway)
    reader = TrafficReader()
    await gateway.send(NOON - 5 * SECOND, NOON - 4 * SECOND)
    await gateway.send(NOON - 3 * SECOND, latency_ms=1001)
    await gateway.send(NOON - 3 * SECOND, status="error", error_code="502", latency_ms=None)
    await gateway.send(NOON - 3 * SECOND, status="rate_limited", latency_ms=None)
    await gateway.send(NOON - 3 * SECOND, status="pending", latency_ms=None)
    first = await look(gateway, reader)
    assert first.observed == {AWS: Observed(successes=3, neutrals=1, failures=1, slow=1)}
    assert first.ids == gateway.deployments
    assert set(first.base.values()) == {1.0}
    assert (await look(gateway, reader)).observed == {}
    await gateway.send(NOON - 60 * SECOND, deployment="mistral/gcp", latency_ms=9000)
    assert (await look(gateway, reader)).observed == {"mistral/gcp": Observed(successes=1)}


@pytest.mark.asyncio(loop_scope="session")
async def test_answered_requests_are_learned_from_a_day_back_and_once(gateway: Gateway) -> None:
    """In the order in which they were stored; what failed or was refused says nothing of a latency."""
    await people(gateway)
    reader = TrafficReader()
    await gateway.send(NOON - 25 * HOUR, latency_ms=1)
    await gateway.send(
        NOON - 23 * HOUR, latency_ms=2, prompt_tokens=70, completion_tokens=8, task_type="chat"
    )
    await gateway.send(NOON - SECOND, status="error", error_code="502", latency_ms=3)
    await gateway.send(NOON - SECOND, latency_ms=4)
    first = await look(gateway, reader)
    assert [each.latency_ms for each in first.ended] == [2, 4]
    assert first.ended[0] == EndedRequest(AWS, "chat", 70, 8, 2)
    assert first.observed == {AWS: Observed(successes=1, failures=1)}
    await gateway.send(NOON - SECOND, latency_ms=5)
    assert [each.latency_ms for each in (await look(gateway, reader)).ended] == [5]


@pytest.mark.asyncio(loop_scope="session")
async def test_old_requests_say_nothing_about_now(gateway: Gateway) -> None:
    """At the start half a minute counts; later what began within five minutes; nothing from the future."""
    await people(gateway)
    reader = TrafficReader()
    await gateway.send(NOON - 40 * SECOND, NOON + MINUTE)
    assert (await look(gateway, reader)).observed == {}
    await gateway.send(NOON - 6 * MINUTE, NOON + HOUR)
    assert (await look(gateway, reader)).observed == {}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("status", "age", "is_down"),
    [("down", 14 * MINUTE, True), ("down", 16 * MINUTE, False), ("degraded", MINUTE, False)],
)
async def test_down_is_what_a_report_of_late_says(
    gateway: Gateway, status: str, age: timedelta, is_down: bool
) -> None:
    """An old report says nothing about now, whatever it says."""
    await gateway.deployment(AWS, status=status, updated_at=NOON - age)
    async with gateway.database.read() as session:
        fleet = await TrafficReader().read(session, NOON, {})
    assert (AWS in fleet.down) is is_down


@pytest.mark.asyncio(loop_scope="session")
async def test_usual_weights_are_provisioned_rates_if_all_have_one(gateway: Gateway) -> None:
    """One without makes them equal: nobody knows its size."""
    await gateway.deployment("a/x", capacity_rpm=600)
    await gateway.deployment("b/x", capacity_rpm=60)
    reader = TrafficReader()
    async with gateway.database.read() as session:
        assert (await reader.read(session, NOON, {})).base == {"a/x": 600.0, "b/x": 60.0}
    await gateway.deployment("c/x")
    async with gateway.database.read() as session:
        assert set((await reader.read(session, NOON, {})).base.values()) == {1.0}


@pytest.mark.both_databases
@pytest.mark.asyncio(loop_scope="session")
async def test_transitions_are_stored_once_and_the_last_is_where_a_process_begins(gateway: Gateway) -> None:
    """Two workers that reach the same transition store one; one that vanished has none."""
    await people(gateway)
    opened = BreakerTransition(NOON - MINUTE, AWS, BreakerState.CLOSED, BreakerState.OPEN, "it failed")
    half = BreakerTransition(NOON, AWS, BreakerState.OPEN, BreakerState.HALF_OPEN, "3 probes")
    gone = BreakerTransition(NOON, "gone/x", BreakerState.CLOSED, BreakerState.OPEN, "it failed")
    for batch in ([opened, gone], [opened, half], []):
        async with gateway.database.write() as session:
            await store_transitions(session, batch, gateway.deployments, shadow=True)
    async with gateway.database.read() as session:
        assert await last_transitions(session, NOON) == [half]
        assert await last_transitions(session, NOON - 30 * SECOND) == [opened]
        assert await last_transitions(session, NOON + 2 * HOUR) == []


@pytest.mark.asyncio(loop_scope="session")
async def test_the_newest_forecast_that_is_not_over_is_the_outlook(gateway: Gateway) -> None:
    """An old one, and one of the future, are none."""
    await people(gateway)
    aws, mistral = gateway.deployments[AWS], gateway.deployments["mistral/gcp"]
    for key, made_at, probability in (
        (aws, NOON - 2 * MINUTE, 0.2),
        (aws, NOON - MINUTE, 0.8),
        (aws, NOON + MINUTE, 0.1),
        (mistral, NOON - 4 * MINUTE, 0.9),
    ):
        await gateway.add(
            RiskForecast(
                deployment_id=key,
                made_at=made_at,
                due_at=made_at + 5 * MINUTE,
                expert="ewma",
                now_ms=500.0,
                limit_ms=1000.0,
                breach_probability=probability,
            )
        )
    async with gateway.database.read() as session:
        found = await stored_outlooks(session, NOON)
    assert found.keys() == {aws}
    assert (found[aws].breach_probability, found[aws].headroom) == (0.8, 0.5)
