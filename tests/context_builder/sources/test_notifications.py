"""Alerts: failed ones first, then sent ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from context_builder.source import Section, Status
from context_builder.sources.notifications import MAX_ALERTS_READ, MAX_FACTS, source
from models import Notification
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.ops_events import alert, flood
from tests.support.statements import rows_fetched

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)
FAILED: dict[str, Any] = {"status": "failed", "error": "no answer"}


def texts(section: Section) -> list[str]:
    return [fact.text for fact in section.facts]


async def test_failed_alerts_come_first_and_alike_ones_are_one_fact(gateway: Gateway) -> None:
    """A fact shows provider, channel, subject, error and time; the newest represents similar ones."""
    await gateway.add(
        *(alert(f"queue has {n} entries", NOON - n * MINUTE) for n in range(1, 6)),
        alert("All is lost", NOON - 20 * HOUR, channel="#ops room", provider="slack", **FAILED),
    )
    section = await gateway.read(source)
    assert section.header == "alerts from 2026-03-09 12:00 to 2026-03-10 12:00: 1 failed, 5 sent"
    assert texts(section) == [
        "slack alert to «#ops room» FAILED at 2026-03-09 16:00: «All is lost»; error: «no answer»",
        (
            "pagerduty alert to oncall sent 5 times between 2026-03-10 11:55 and 2026-03-10 11:59: "
            "«queue has 1 entries» and 4 like it"
        ),
    ]
    assert {fact.kind for fact in section.facts} == {"notifications"}


@pytest.mark.parametrize(
    ("sent_at", "unreached"), [(None, True), (NOON - 30 * DAY, False), (NOON, False), (NOON + SECOND, True)]
)
async def test_an_incident_nobody_was_alerted_of_is_named(
    gateway: Gateway, sent_at: object, unreached: bool
) -> None:
    """An incident is unreached unless one alert got through by `as_of`."""
    incident = await gateway.incident("inc_7")
    await gateway.add(alert(incident_id=incident, **FAILED))
    if sent_at:
        await gateway.add(alert("another", incident_id=incident, created_at=sent_at))
    fact = (await gateway.read(source)).facts[0]
    assert fact.text.endswith("; no alert about inc_7 got through") is unreached
    assert fact.short.endswith("; no alert about inc_7 got through") is unreached


async def test_alerts_of_the_gateway_belong_to_every_scope(gateway: Gateway) -> None:
    """Alerts of another deployment are left out; those without one are shown."""
    one, two = await gateway.deployment("a/x"), await gateway.deployment("b/x")
    await gateway.add(
        alert("mine", deployment_id=one), alert("other", deployment_id=two), alert("everybody's")
    )
    section = await gateway.read(source, asking(deployment_ids=(one,)))
    assert "0 failed, 2 sent" in section.header
    assert "«other»" not in str(section)


async def test_a_flood_of_sent_ones_hides_no_failed_one(gateway: Gateway) -> None:
    """Only the newest alerts of each status are read; the others are counted."""
    await flood(
        gateway,
        Notification,
        3_000,
        created_at=NOON - MINUTE,
        provider="slack",
        channel=lambda n: f"room_{n}",
        subject="x" * 10_000,
        status="sent",
    )
    await gateway.add(alert(at=NOON - 23 * HOUR, **FAILED))
    section = await gateway.read(source)
    assert "1 failed, 3,000 sent" in section.header
    assert (
        f"the newest {MAX_ALERTS_READ} of each were read; 501 distinct, {MAX_FACTS} listed" in section.header
    )
    assert "FAILED" in texts(section)[0]
    assert len(section.facts) == MAX_FACTS
    assert await rows_fetched(gateway, source) <= MAX_ALERTS_READ + 10


async def test_no_alerts_is_empty(gateway: Gateway) -> None:
    """Rows of the day before yesterday are too old."""
    await gateway.add(alert(at=NOON - DAY - SECOND))
    section = await gateway.read(source)
    assert section.status is Status.EMPTY
    assert section.header == "no alerts were sent or failed from 2026-03-09 12:00 to 2026-03-10 12:00"
