"""Events near some moments: all kinds, in scope, and never one that had not happened."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from context_builder.exploration.events import AFTER, BEFORE, Event, events_in, spans_around
from context_builder.question.request import ContextRequest, Window
from models import MaintenanceWindow
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.ops_events import audit, config, events_of, job, transition
from tests.support.rollup_views import rollups_of

in_session = pytest.mark.asyncio(loop_scope="session")

SECOND = timedelta(seconds=1)


async def found(gateway: Gateway, request: ContextRequest | None = None, *around: datetime) -> list[Event]:
    """Events around some moments, by default three hours before NOON."""
    request = request or asking()
    spans = spans_around([(at, at) for at in around or (NOON - 3 * HOUR,)], request)
    async with rollups_of(gateway.database) as rollups:
        return await events_in(rollups, request, spans)


def maintenance(at: datetime, announced: datetime) -> MaintenanceWindow:
    return MaintenanceWindow(
        backend="aws", starts_at=at, ends_at=at + HOUR, announced_at=announced, reason="new racks"
    )


def test_spans_reach_back_further_than_on_and_never_past_the_moment_asked_about() -> None:
    """A cause comes before; the future is unknown."""
    spans = spans_around([(NOON - DAY, NOON - DAY + MINUTE), (NOON - MINUTE, NOON)], asking())
    assert spans[0] == Window(NOON - DAY - BEFORE, NOON - DAY + MINUTE + AFTER)
    assert spans[1].end == NOON + timedelta(microseconds=1)


@in_session
async def test_every_kind_is_found_once_with_its_moment(gateway: Gateway) -> None:
    """What is recorded twice, as a row and as an audited action, is told once."""
    number, at = await gateway.deployment(), NOON - 3 * HOUR
    await gateway.add(*events_of("gpt-4/aws", number, at), maintenance(at, at - DAY))
    await gateway.add(transition(number, "healthy", "degraded", at))
    await gateway.add(audit("job.start", at), audit("config.set", at), audit("login", at))
    await gateway.incident("inc_then", started_at=at)
    events = await found(gateway)
    assert sorted(event.kind for event in events) == sorted(
        ["config", "job", "audit", "state", "outage", "incident", "maintenance"]
    )
    assert {event.at for event in events} == {at}
    assert all(0 < event.weight <= 1 for event in events)
    by_kind = {event.kind: event for event in events}
    assert by_kind["config"].weight > by_kind["outage"].weight > by_kind["state"].weight
    assert "to down" in by_kind["outage"].text
    assert "to degraded" in by_kind["state"].text


@in_session
async def test_only_what_is_near_is_found(gateway: Gateway) -> None:
    """Six hours before and one after each moment; once where two moments have it near."""
    for minutes in (361, 359, 0, -59, -61):
        at = NOON - 5 * HOUR - minutes * MINUTE
        await gateway.add(config(f"cfg{minutes}", at, parameter=f"p{minutes}"))
    events = await found(gateway, None, NOON - 5 * HOUR)
    assert [event.text.split(" ")[0] for event in events] == ["p359", "p0", "p-59"]
    both = await found(gateway, None, NOON - 5 * HOUR, NOON - 5 * HOUR + 2 * MINUTE)
    assert len(both) == 4


@in_session
async def test_nothing_that_had_not_happened_is_found(gateway: Gateway) -> None:
    """A second later is too late; a job that had not begun, and an end that had not come, are unknown."""
    number, as_of = await gateway.deployment(), NOON - 3 * HOUR
    begun = {"created_at": as_of - HOUR, "started_at": as_of - HOUR}
    await gateway.add(
        config("cfg_now", as_of),
        config("cfg_later", as_of + SECOND),
        job("job_runs", status="failed", finished_at=as_of + SECOND, error="secret", **begun),
        job("job_waits", created_at=as_of - HOUR, started_at=as_of + SECOND),
        audit(at=as_of + SECOND),
        transition(number, at=as_of + SECOND),
        maintenance(as_of - HOUR, as_of + SECOND),
    )
    await gateway.incident(started_at=as_of + SECOND)
    events = await found(gateway, asking(as_of))
    assert sorted(event.kind for event in events) == ["config", "job"]
    assert "not finished" in str(events)
    assert "failed" not in str(events)
    assert "secret" not in str(events)


@in_session
async def test_events_elsewhere_are_found_whatever_is_asked_about(gateway: Gateway) -> None:
    """What was done to another deployment at an onset may be its cause; each says what it was done to."""
    numbers = {name: await gateway.deployment(name) for name in ("gpt-4/aws", "mistral/gcp")}
    at = NOON - 3 * HOUR
    for name, number in numbers.items():
        await gateway.add(*events_of(name, number, at))
    await gateway.add(config("cfg_router", at, target="router"))
    targets = {event.target for event in await found(gateway, asking(deployment_ids=(1,)))}
    assert targets == {"gpt-4/aws", "mistral/gcp", "router"}


async def versions(gateway: Gateway, as_of: datetime, *around: datetime) -> list[tuple[datetime, str]]:
    """Router versions that are told to be new."""
    events = await found(gateway, asking(as_of), *around)
    return [(event.at, event.text.split(" ")[2]) for event in events if event.kind == "version"]


@in_session
async def test_a_router_version_is_new_from_its_first_request_on(gateway: Gateway) -> None:
    """To the minute, also in the first hour of a span; the oldest one and what is still to come are not."""
    await gateway.deployment()
    await gateway.user()
    await gateway.send(*(NOON - n * HOUR for n in range(1, 60)), router_version="v1")
    first = NOON - 3 * HOUR + 20 * MINUTE
    await gateway.send(first, first + 5 * MINUTE, first + 2 * HOUR, router_version="v2")
    assert await versions(gateway, NOON, first) == [(first, "v2")]
    assert await versions(gateway, NOON, first - 50 * MINUTE, first + BEFORE - MINUTE) == [(first, "v2")]
    assert await versions(gateway, NOON, first + BEFORE + MINUTE, first - AFTER - MINUTE) == []
    assert await versions(gateway, first + MINUTE, first) == [(first, "v2")]
    for too_early in (first - MINUTE, first - 10 * MINUTE, first - 20 * MINUTE):
        assert await versions(gateway, too_early, too_early) == []
