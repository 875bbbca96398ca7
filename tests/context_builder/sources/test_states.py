"""Changes of health status, and when many of them are one flapping episode."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from context_builder.source import Section, Status
from context_builder.sources.states import FLAP_GAP, MAX_FACTS, MAX_PER_DEPLOYMENT, MIN_FLAPS, source
from models import StateTransition
from models.tables.schema import Table
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.ops_events import flood, transition
from tests.support.statements import rows_fetched

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
    """One fact each, the newest first; one that ended within the time has its end in the same fact."""
    one = await gateway.deployment("a/x")
    two = await gateway.deployment("b/x")
    await gateway.add(
        transition(one, at=NOON - 2 * HOUR, reason="no answer"),
        transition(one, "down", "healthy", NOON - HOUR),
        transition(two, "healthy", "degraded", NOON - 3 * HOUR),
    )
    section = await gateway.read(source)
    assert section.header == "3 status changes from 2026-03-09 12:00 to 2026-03-10 12:00"
    assert texts(section) == [
        "a/x went from healthy to DOWN at 2026-03-10 10:00: «no answer»; back to HEALTHY at 2026-03-10 11:00",
        "b/x went from healthy to DEGRADED at 2026-03-10 09:00",
    ]
    assert section.facts[0].short == texts(section)[0].replace(": «no answer»", "")


async def test_flapping_is_one_fact_and_the_first(gateway: Gateway) -> None:
    """A flapping episode shows count, times and current status; other outages stay separate."""
    one = await gateway.deployment("a/x")
    two = await gateway.deployment("b/x")
    await gateway.add(*flaps(one, 14, reason="lost peer"), transition(two, at=NOON - MINUTE))
    section = await gateway.read(source)
    assert section.header.startswith("15 status changes")
    assert section.header.endswith(", 1 flapping episode")
    assert texts(section) == [
        "a/x flapped 14 times between 2026-03-10 10:50 and 2026-03-10 11:55, now DOWN: «lost peer»",
        "b/x went from healthy to DOWN at 2026-03-10 11:59",
    ]
    assert {fact.kind for fact in section.facts} == {"flapping episodes", "status changes"}


@pytest.mark.parametrize(
    ("number", "step", "flapping"),
    [(MIN_FLAPS, FLAP_GAP, True), (MIN_FLAPS - 1, FLAP_GAP, False), (MIN_FLAPS, FLAP_GAP + SECOND, False)],
)
async def test_few_or_slow_changes_are_no_flapping(
    gateway: Gateway, number: int, step: timedelta, flapping: bool
) -> None:
    """Outages with few transitions are shown one by one, each with its end."""
    await gateway.add(*flaps(await gateway.deployment(), number, step))
    section = await gateway.read(source)
    assert len(section.facts) == (1 if flapping else number // 2 + 1)
    assert ("flapped" in texts(section)[0]) is flapping


async def test_what_it_is_now_is_not_said_of_a_past_window(gateway: Gateway) -> None:
    """The last status of a past window is not called current."""
    await gateway.add(*flaps(await gateway.deployment(), 9))
    (fact,) = (await gateway.read(source, asking(NOON + HOUR, since=NOON - HOUR, until=NOON))).facts
    assert ", then DOWN" in fact.text


async def test_one_that_flaps_for_hours_hides_no_other(gateway: Gateway) -> None:
    """Few rows are read per deployment; unread ones are counted, and the episode says at least."""
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
    assert section.header.startswith("3,001 status changes")
    assert section.header.endswith("; only the newest of each deployment, 101, were read")
    assert texts(section)[0].startswith(f"a/x flapped at least {MAX_PER_DEPLOYMENT} times between")
    assert "b/x went from healthy to DOWN" in texts(section)[1]
    assert await rows_fetched(gateway, source) <= MAX_PER_DEPLOYMENT + 5


async def test_a_fleet_that_goes_down_as_a_whole_still_fits(gateway: Gateway) -> None:
    """Facts are bounded, and the header counts the rest."""
    names = [f"m{n}/x" for n in range(60)]
    await gateway.deployment(*names)
    await gateway.add(*(transition(number) for number in gateway.deployments.values()))
    section = await gateway.read(source)
    assert len(section.facts) == MAX_FACTS
    assert section.header.endswith(f"; {MAX_FACTS} of 60 facts are listed")


async def test_no_changes_is_empty(gateway: Gateway) -> None:
    """Changes before the last day or at the end of the window are left out."""
    number = await gateway.deployment()
    await gateway.add(transition(number, at=NOON - DAY - SECOND), transition(number, at=NOON + SECOND))
    section = await gateway.read(source, asking(NOON + MINUTE, until=NOON))
    assert section.status is Status.EMPTY
    assert section.header == "no deployment changed status from 2026-03-09 12:00 to 2026-03-10 12:00"


async def test_an_end_belongs_to_the_change_just_before_it(gateway: Gateway) -> None:
    """A recovery whose beginning is not in the time, or that another change came between, stands alone."""
    one = await gateway.deployment("a/x")
    await gateway.add(
        transition(one, "down", "healthy", NOON - 5 * HOUR),
        transition(one, "healthy", "down", NOON - 3 * HOUR),
        transition(one, "down", "degraded", NOON - 2 * HOUR),
        transition(one, "degraded", "healthy", NOON - HOUR),
    )
    assert texts(await gateway.read(source)) == [
        "a/x went from down to DEGRADED at 2026-03-10 10:00; back to HEALTHY at 2026-03-10 11:00",
        "a/x went from healthy to DOWN at 2026-03-10 09:00",
        "a/x went from down to HEALTHY at 2026-03-10 07:00",
    ]
