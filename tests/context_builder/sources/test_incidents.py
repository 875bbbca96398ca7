"""Incidents as of the moment asked about: open ones, and what was known by then."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.source import Section, Status
from context_builder.sources.incidents import MAX_FACTS, RESOLVED_WITHIN, source
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking

pytestmark = pytest.mark.asyncio(loop_scope="session")
TINY = timedelta(microseconds=1)


def named(section: Section) -> list[str]:
    """Public ids in the order of the facts."""
    return [fact.text.split(" ")[0] for fact in section.facts]


async def test_an_active_incident_tells_how_long_and_a_resolved_one_why(gateway: Gateway) -> None:
    """A fact shows every column in one line."""
    await gateway.incident(
        "inc_1", title="Pool exhausted", severity="critical", target="gpt-4/aws", symptoms="504 everywhere"
    )
    await gateway.incident(
        "inc_2",
        title="Slow disk",
        severity="low",
        started_at=NOON - 3 * HOUR,
        resolved_at=NOON - 2 * HOUR,
        root_cause="full disk",
        resolution="emptied it",
    )
    section = await gateway.read(source)
    assert section.header == "1 active, 1 resolved since 2026-03-03 12:00"
    active, resolved = section.facts
    assert active.text == (
        "inc_1 (critical) on «gpt-4/aws»: «Pool exhausted»; ACTIVE, started 2026-03-10 11:00, "
        "1 h 0 min so far; symptoms: «504 everywhere»"
    )
    assert resolved.text == (
        "inc_2 (low): «Slow disk»; resolved 2026-03-10 10:00, started 2026-03-10 09:00, "
        "lasted 1 h 0 min; cause: «full disk»; fix: «emptied it»"
    )
    assert active.importance > resolved.importance


@pytest.mark.parametrize(
    ("resolved_after", "active"), [(-TINY, False), (timedelta(0), False), (TINY, True), (DAY, True)]
)
async def test_an_incident_is_over_from_the_moment_it_was_resolved(
    gateway: Gateway, resolved_after: timedelta, active: bool
) -> None:
    """Before its resolution an incident is active, without end, cause or fix."""
    await gateway.incident(
        "inc_1", resolved_at=NOON + resolved_after, root_cause="the cause", resolution="the fix"
    )
    section = await gateway.read(source)
    assert section.header.startswith("1 active, 0 resolved" if active else "0 active, 1 resolved")
    assert ("ACTIVE" in section.facts[0].text) is active
    for learned in ("resolved 20", "the cause", "the fix"):
        assert (learned in str(section.facts)) is not active


async def test_an_incident_of_later_is_not_there_yet(gateway: Gateway) -> None:
    """An incident that starts at the moment asked about is shown, a later one is not."""
    await gateway.incident("inc_at", started_at=NOON)
    await gateway.incident("inc_after", started_at=NOON + TINY)
    assert named(await gateway.read(source)) == ["inc_at"]


async def test_resolved_ones_go_back_to_the_window_or_a_week(gateway: Gateway) -> None:
    """Resolved incidents are shown for the window or RESOLVED_WITHIN, whichever is longer."""
    for name, ago in (("inc_in", RESOLVED_WITHIN), ("inc_out", RESOLVED_WITHIN + TINY)):
        await gateway.incident(name, started_at=NOON - 30 * DAY, resolved_at=NOON - ago)
    assert named(await gateway.read(source)) == ["inc_in"]
    section = await gateway.read(source, asking(since=NOON - 20 * DAY))
    assert sorted(named(section)) == ["inc_in", "inc_out"]


async def test_an_incident_that_is_asked_about_is_told_however_old(gateway: Gateway) -> None:
    """A named incident comes first and does not count as recent."""
    old = await gateway.incident(
        "inc_old", severity="low", started_at=NOON - 90 * DAY, resolved_at=NOON - 89 * DAY
    )
    await gateway.incident("inc_new", severity="critical")
    section = await gateway.read(source, asking(incident_ids=(old,)))
    assert named(section) == ["inc_old", "inc_new"]
    assert section.header.startswith("1 active, 0 resolved")


async def test_what_hit_something_else_comes_last(gateway: Gateway) -> None:
    """Incidents of the deployment, its model or backend rank above others."""
    here = await gateway.deployment("gpt-4/aws")
    there = await gateway.deployment("mistral/gcp")
    await gateway.incident("inc_elsewhere", target="mistral/gcp", deployment_id=there, severity="critical")
    await gateway.incident("inc_nowhere", severity="critical")
    for number, target in enumerate(("gpt-4/aws", "gpt-4", "aws")):
        await gateway.incident(f"inc_{number}", target=target, severity="low")
    await gateway.incident("inc_linked", target="GPT 4 at Amazon", deployment_id=here, severity="low")
    section = await gateway.read(source, asking(deployment_ids=(here,)))
    assert set(named(section)[:4]) == {"inc_0", "inc_1", "inc_2", "inc_linked"}
    assert set(named(section)[4:]) == {"inc_elsewhere", "inc_nowhere"}


async def test_of_very_many_the_worst_active_ones_are_listed(gateway: Gateway) -> None:
    """The header counts all; severity ranks before age; a named incident is never cut."""
    for number in range(MAX_FACTS + 20):
        severity = "critical" if number < 3 else "low"
        await gateway.incident(f"inc_{number:02}", severity=severity, started_at=NOON - number * MINUTE)
    for number in range(10):
        await gateway.incident(f"old_{number}", started_at=NOON - DAY, resolved_at=NOON - HOUR)
    section = await gateway.read(source)
    assert section.header.startswith(f"{MAX_FACTS + 20} active, 10 resolved since")
    assert section.header.endswith(f"the worst and newest {MAX_FACTS} are listed")
    assert named(section) == [f"inc_{number:02}" for number in range(MAX_FACTS)]
    asked = await gateway.incident("inc_asked", started_at=NOON - 90 * DAY, resolved_at=NOON - 89 * DAY)
    section = await gateway.read(source, asking(incident_ids=(asked,)))
    assert named(section) == ["inc_asked", *(f"inc_{number:02}" for number in range(MAX_FACTS - 1))]


async def test_no_incidents_is_empty(gateway: Gateway) -> None:
    """An empty section says how far back it covers."""
    section = await gateway.read(source)
    assert (section.status, section.header) == (
        Status.EMPTY,
        "none active, none resolved since 2026-03-03 12:00",
    )
