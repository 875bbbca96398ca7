"""Changes of health status, and when many of them are one spell of flapping."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from context_builder.source import Section, Status
from context_builder.sources.states import FLAP_GAP, FLAPS, MAX_OF_ONE, MOST, source
from models import StateTransition
from models.tables.schema import Table
from support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from support.ops_events import flood, transition
from support.statements import rows_fetched

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


def texts(section: Section) -> list[str]:
    return [fact.text for fact in section.facts]


def flaps(deployment: int, number: int, step: timedelta = 5 * MINUTE, **columns: Any) -> list[Table]:
    """A deployment that goes down and up in turn, down at the end, which is `step` before NOON."""
    return [
        transition(
            deployment,
            *(("down", "healthy") if n % 2 else ("healthy", "down")),
            at=NOON - (n + 1) * step,
            **columns,
        )
        for n in range(number)
    ]


async def test_transitions_say_from_what_to_what_and_why(gateway: Gateway) -> None:
    """One fact each, the newest first."""
    one = await gateway.deployment("a/x")
    two = await gateway.deployment("b/x")
    await gateway.add(
        transition(one, at=NOON - 2 * HOUR, reason="no answer"),
        transition(one, "down", "healthy", NOON - HOUR),
        transition(two, "healthy", "degraded", NOON - 3 * HOUR),
    )
    section = await gateway.read(source)
    assert section.header == "3 changes of status from 2026-03-09 12:00 to 2026-03-10 12:00"
    assert texts(section) == [
        "a/x went from down to HEALTHY at 2026-03-10 11:00",
        "a/x went from healthy to DOWN at 2026-03-10 10:00: «no answer»",
        "b/x went from healthy to DEGRADED at 2026-03-10 09:00",
    ]
    assert section.facts[1].short == "a/x went from healthy to DOWN at 2026-03-10 10:00"


async def test_flapping_is_one_fact_and_the_first(gateway: Gateway) -> None:
    """How often, between when, and what it is now; another deployment's outage stays its own."""
    one = await gateway.deployment("a/x")
    two = await gateway.deployment("b/x")
    await gateway.add(*flaps(one, 14, reason="lost peer"), transition(two, at=NOON - MINUTE))
    section = await gateway.read(source)
    assert section.header.startswith("15 changes of status")
    assert section.header.endswith(", 1 spell of flapping")
    assert texts(section) == [
        "a/x flapped 14 times between 2026-03-10 10:50 and 2026-03-10 11:55, now DOWN: «lost peer»",
        "b/x went from healthy to DOWN at 2026-03-10 11:59",
    ]
    assert {fact.kind for fact in section.facts} == {"spells of flapping", "changes of status"}


@pytest.mark.parametrize(
    ("number", "step", "flapping"),
    [(FLAPS, FLAP_GAP, True), (FLAPS - 1, FLAP_GAP, False), (FLAPS, FLAP_GAP + SECOND, False)],
)
async def test_few_or_slow_changes_are_no_flapping(
    gateway: Gateway, number: int, step: timedelta, flapping: bool
) -> None:
    """An outage that gets worse and is mended is told step by step."""
    await gateway.add(*flaps(await gateway.deployment(), number, step))
    section = await gateway.read(source)
    assert len(section.facts) == (1 if flapping else number)
    assert ("flapped" in texts(section)[0]) is flapping


async def test_what_it_is_now_is_not_said_of_a_past_window(gateway: Gateway) -> None:
    """After the window it may have changed again."""
    await gateway.add(*flaps(await gateway.deployment(), 9))
    (fact,) = (await gateway.read(source, asking(NOON + HOUR, since=NOON - HOUR, until=NOON))).facts
    assert ", then DOWN" in fact.text


async def test_one_that_flaps_for_hours_hides_no_other(gateway: Gateway) -> None:
    """Few rows are read of each; what was not read is counted, and the spell is said to be longer."""
    one = await gateway.deployment("a/x")
    two = await gateway.deployment("b/x")
    await flood(
        gateway,
        StateTransition,
        3_000,
        deployment_id=one,
        changed_at=lambda n: NOON - n * SECOND - SECOND,
        from_status="down",
        to_status="healthy",
    )
    await gateway.add(transition(two, at=NOON - 20 * HOUR))
    section = await gateway.read(source)
    assert section.header.startswith("3,001 changes of status")
    assert section.header.endswith("; only the newest of each deployment, 101, were read")
    assert texts(section)[0].startswith(f"a/x flapped at least {MAX_OF_ONE} times between")
    assert "b/x went from healthy to DOWN" in texts(section)[1]
    assert await rows_fetched(gateway, source) <= MAX_OF_ONE + 5


async def test_a_fleet_that_goes_down_as_a_whole_still_fits(gateway: Gateway) -> None:
    """Facts stay bounded and the header counts the rest."""
    names = [f"m{n}/x" for n in range(60)]
    await gateway.deployment(*names)
    await gateway.add(*(transition(number) for number in gateway.deployments.values()))
    section = await gateway.read(source)
    assert len(section.facts) == MOST
    assert section.header.endswith(f"; {MOST} of 60 facts are listed")


async def test_no_changes_is_empty(gateway: Gateway) -> None:
    """Changes before the last day, and at the end of the window, are not of it."""
    number = await gateway.deployment()
    await gateway.add(transition(number, at=NOON - DAY - SECOND), transition(number, at=NOON + SECOND))
    section = await gateway.read(source, asking(NOON + MINUTE, until=NOON))
    assert section.status is Status.EMPTY
    assert section.header == "no deployment changed its status from 2026-03-09 12:00 to 2026-03-10 12:00"
