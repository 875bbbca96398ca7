"""Health as it was at the moment asked about: what is down, what is stale, and what cannot be known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.source import Section, Status
from context_builder.sources.health import MAX_SINGLE_FACTS, source
from context_builder.telemetry.fleet import STALE_AFTER
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


def texts(section: Section) -> list[str]:
    return [fact.text for fact in section.facts]


async def test_the_worst_comes_first_with_reason_age_and_place(gateway: Gateway) -> None:
    """Down ranks above degraded above the rest; healthy deployments share a fact."""
    await gateway.deployment("a/x")
    await gateway.deployment("b/x")
    await gateway.deployment("c/x", status="degraded", region="eu-1", updated_at=NOON)
    await gateway.deployment("d/x", status="down", status_reason="no answer", status_since=NOON - 90 * MINUTE)
    await gateway.deployment("e/x", status="unknown", updated_at=None)
    section = await gateway.read(source)
    assert section.header == "5 deployments: 1 down, 1 degraded, 2 healthy, 1 unknown"
    assert texts(section) == [
        "d/x is DOWN since 2026-03-10 10:30 (1 h 30 min): «no answer»; reported 1 min ago",
        "c/x (eu-1) is DEGRADED; reported 0 s ago",
        "1 deployment of unknown health (never reported): e/x",
        "2 deployments healthy: a/x, b/x",
    ]
    assert (section.status, section.gaps) == (Status.OK, ())


@pytest.mark.parametrize(
    ("age", "stale"),
    [(STALE_AFTER - SECOND, False), (STALE_AFTER, False), (STALE_AFTER + SECOND, True), (40 * DAY, True)],
)
async def test_a_report_is_stale_after_its_time(gateway: Gateway, age: timedelta, stale: bool) -> None:
    """A stale healthy report has its own fact, and the section is stale."""
    await gateway.deployment("a/x", updated_at=NOON - age)
    section = await gateway.read(source)
    assert (section.status is Status.STALE) is stale
    assert section.header.endswith("1 with a stale report") is stale
    assert ("STALE, last reported" in section.facts[0].text) is stale
    assert section.facts[0].short.startswith("a/x is HEALTHY; STALE" if stale else "1 deployment healthy")


async def test_a_report_of_later_is_a_gap_at_a_past_moment(gateway: Gateway) -> None:
    """Law 3: an overwritten status is unknown, and the later one is not shown."""
    await gateway.deployment("a/x", status="down", status_reason="secret of later", updated_at=NOON + SECOND)
    await gateway.deployment("b/x", created_at=NOON + SECOND, updated_at=None)
    section = await gateway.read(source)
    assert section.header == "1 deployment: 0 down, 0 degraded, 0 healthy, 1 unknown"
    assert section.facts == ()
    assert section.gaps == ("health at this moment of a/x: the recorded status is newer",)


async def test_a_report_just_ahead_of_our_clock_counts_now(gateway: Gateway) -> None:
    """A report slightly ahead of our clock counts."""
    await gateway.deployment("a/x", status="down", updated_at=NOON + 30 * SECOND)
    await gateway.deployment("b/x", status="down", updated_at=NOON + HOUR)
    section = await gateway.read(source, asking(live=True))
    assert texts(section) == ["a/x is DOWN; reported 0 s ago"]
    assert "of b/x" in section.gaps[0]


async def test_only_deployments_in_scope_are_read(gateway: Gateway) -> None:
    """A question about one deployment shows no other."""
    await gateway.deployment("a/x", status="down")
    await gateway.deployment("b/x", status="down")
    section = await gateway.read(source, asking(deployment_ids=gateway.id_of("b/x")))
    assert section.header == "1 deployment: 1 down, 0 degraded, 0 healthy"
    assert len(section.facts) == 1
    assert "a/x" not in str(section)


async def test_a_fleet_that_is_down_as_a_whole_still_fits(gateway: Gateway) -> None:
    """Facts are bounded, counts are complete, and the order is fixed."""
    for number in range(120):
        status = ("down", "degraded", "healthy")[number % 3]
        age = STALE_AFTER + MINUTE if number % 2 else MINUTE
        await gateway.deployment(f"M{number % 7}-m/{number:03}", status=status, updated_at=NOON - age)
    section = await gateway.read(source)
    assert section.header == "120 deployments: 40 down, 40 degraded, 40 healthy, 60 with a stale report"
    assert len(section.facts) <= MAX_SINGLE_FACTS + 6
    singly = [fact.text.split(" ")[0] for fact in section.facts[:MAX_SINGLE_FACTS]]
    down = sorted(f"M{number % 7}-m/{number:03}" for number in range(0, 120, 3))
    assert singly == down[:MAX_SINGLE_FACTS]
    together = [int(text.split(" ")[0]) for text in texts(section)[MAX_SINGLE_FACTS:]]
    assert sum(together) == 120 - MAX_SINGLE_FACTS


async def test_no_deployments_is_empty(gateway: Gateway) -> None:
    """An empty table gives an empty section that says so."""
    section = await gateway.read(source)
    assert (section.status, section.header) == (Status.EMPTY, "no deployments are known")
