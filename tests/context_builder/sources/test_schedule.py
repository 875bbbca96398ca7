"""Sites are open, closed or in maintenance in local time, and offline deployments are explained."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from context_builder.source import Section, Status
from context_builder.sources.schedule import MAX_OFFLINE, source
from models import OperatingHours
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.gateway_context import hours, maintenance

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


def texts(section: Section, kind: str) -> list[str]:
    return [fact.text for fact in section.facts if fact.kind == kind]


async def test_down_while_closed_is_expected(gateway: Gateway) -> None:
    """An expected outage ranks first and shows until when, the hours and low priority."""
    night = NOON + 10 * HOUR
    await gateway.deployment("llama/edge", status="down", updated_at=night, status_since=NOON + 5 * HOUR)
    await gateway.deployment("llama/aws", status="down", updated_at=night)
    await gateway.add(*hours())
    section = await gateway.read(source, asking(night, live=True))
    assert section.header == "2 sites with known hours: 1 closed, 0 in maintenance"
    assert section.facts[0].text == (
        "llama/edge is DOWN, but its site edge is closed until 2026-03-11 07:00 UTC "
        "(opens Mon-Fri 08:00-18:00 Europe/Berlin): expected, low priority"
    )
    assert section.facts[0].importance == 1.0
    assert "expected, low priority" in section.facts[0].short
    assert not [fact for fact in section.facts if "llama/aws is" in fact.text]
    assert section.gaps == ()


async def test_trouble_that_began_while_it_was_open_is_not_explained(gateway: Gateway) -> None:
    """A closing site does not explain an earlier outage; healthy deployments are left out."""
    night = NOON + 10 * HOUR
    await gateway.deployment("a/edge", status="degraded", updated_at=night, status_since=NOON)
    await gateway.deployment("b/edge", updated_at=night)
    await gateway.add(*hours())
    (told,) = texts(await gateway.read(source, asking(night)), "deployments offline as planned")
    assert told.endswith(
        "but the problem began at 2026-03-10 12:00, before that at 2026-03-10 17:00: not explained by it"
    )


@pytest.mark.parametrize(
    ("as_of", "told"),
    [
        (datetime(2026, 3, 27, 16, 59, tzinfo=UTC), "site edge is open until 2026-03-27 17:00 UTC"),
        # The clocks go forward on Sunday 29 March, and back on Sunday 25 October.
        (datetime(2026, 3, 27, 17, 0, tzinfo=UTC), "site edge is CLOSED, opens next at 2026-03-30 06:00 UTC"),
        (datetime(2026, 3, 30, 6, 0, tzinfo=UTC), "site edge is open until 2026-03-30 16:00 UTC"),
        (
            datetime(2026, 10, 23, 16, 0, tzinfo=UTC),
            "site edge is CLOSED, opens next at 2026-10-26 07:00 UTC",
        ),
        (
            datetime(2026, 10, 26, 6, 59, tzinfo=UTC),
            "site edge is CLOSED, opens next at 2026-10-26 07:00 UTC",
        ),
    ],
)
async def test_hours_are_those_of_the_local_clock(gateway: Gateway, as_of: datetime, told: str) -> None:
    """Local hours follow daylight saving time; spans are half-open."""
    await gateway.deployment("a/edge")
    await gateway.add(*hours())
    section = await gateway.read(source, asking(as_of))
    assert texts(section, "operating hours") == [f"{told}; operating hours Mon-Fri 08:00-18:00 Europe/Berlin"]


async def test_spans_over_midnight_are_one_and_a_full_week_never_ends(gateway: Gateway) -> None:
    """Adjacent rows are one span; seven whole days are around the clock."""
    await gateway.deployment("a/night", "a/always", "a/free")
    await gateway.add(
        OperatingHours(backend="night", weekday=1, opens_minute=1_200, closes_minute=1_440, time_zone="UTC"),
        OperatingHours(backend="night", weekday=2, opens_minute=0, closes_minute=120, time_zone="UTC"),
        *(
            OperatingHours(
                backend="always", weekday=day, opens_minute=0, closes_minute=1_440, time_zone="UTC"
            )
            for day in range(7)
        ),
    )
    section = await gateway.read(source, asking(NOON + 9 * HOUR))
    told = texts(section, "operating hours")
    assert told[0] == "site always is open around the clock; operating hours Mon-Sun 00:00-24:00 UTC"
    assert told[1].startswith("site night is open until 2026-03-11 02:00 UTC; ")
    assert texts(section, "sites that are always open") == [
        "sites without operating hours, which are always open: free"
    ]


async def test_only_announced_maintenance_is_known(gateway: Gateway) -> None:
    """Maintenance announced later, over, or more than a day ahead is left out."""
    await gateway.deployment("a/edge", status="down", updated_at=NOON, status_since=NOON - 30 * MINUTE)
    await gateway.add(
        maintenance(NOON - HOUR, NOON + HOUR, NOON - DAY, "new switch"),
        maintenance(NOON + 3 * HOUR, NOON + 4 * HOUR, NOON, "kernel"),
        maintenance(NOON + 3 * HOUR, NOON + 4 * HOUR, NOON + SECOND, "secret"),
        maintenance(NOON - 2 * HOUR, NOON, NOON - DAY, "over"),
        maintenance(NOON + 25 * HOUR, NOON + 26 * HOUR, NOON - DAY, "far"),
    )
    section = await gateway.read(source)
    assert texts(section, "maintenance windows") == [
        (
            "site edge is in MAINTENANCE until 2026-03-10 13:00 UTC (1 h 0 min left), since "
            "2026-03-10 11:00: «new switch»"
        ),
        (
            "maintenance of site edge begins at 2026-03-10 15:00 UTC (in 3 h 0 min) and ends at "
            "2026-03-10 16:00: «kernel»"
        ),
    ]
    assert texts(section, "deployments offline as planned") == [
        (
            "a/edge is DOWN, but its site edge is in announced maintenance until 2026-03-10 13:00 UTC "
            "(«new switch»): expected, low priority"
        )
    ]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "A" * 100, "/etc/hosts", "Europe"])
async def test_an_unknown_time_zone_is_a_gap(gateway: Gateway, zone: str) -> None:
    """An unknown time zone does not affect other sites."""
    await gateway.deployment("a/edge", "a/good")
    await gateway.add(*hours(zone=zone), *hours("good"))
    section = await gateway.read(source, asking(live=True))
    assert len(section.gaps) == 1
    assert section.gaps[0].startswith("operating hours of edge: its time zone ")
    assert [text.split(";")[0] for text in texts(section, "operating hours")] == [
        "site good is open until 2026-03-10 17:00 UTC"
    ]


async def test_a_status_of_later_is_not_told(gateway: Gateway) -> None:
    """Law 3: a later status is ignored, and current hours are a gap."""
    await gateway.deployment("a/edge", status="down", updated_at=NOON + SECOND)
    await gateway.add(*hours(days=range(5, 7)))
    section = await gateway.read(source)
    assert texts(section, "deployments offline as planned") == []
    assert section.gaps == ("operating hours as they were at this moment: those shown are the current ones",)


async def test_a_closed_fleet_stays_bounded(gateway: Gateway) -> None:
    """Many offline deployments of a site are bounded; the rest are named."""
    await gateway.deployment(*(f"m{n:03}/edge" for n in range(MAX_OFFLINE + 40)), status="down")
    await gateway.add(*hours(days=range(5, 7)))
    section = await gateway.read(source)
    told = texts(section, "deployments offline as planned")
    assert len(told) == MAX_OFFLINE + 1
    assert told[-1].endswith("and 30 more")


async def test_no_schedules_is_empty(gateway: Gateway) -> None:
    """Sites without hours and maintenance give an empty section."""
    await gateway.deployment("a/edge", status="down")
    await gateway.add(*hours("elsewhere"))
    section = await gateway.read(source)
    assert (section.status, section.facts) == (Status.EMPTY, ())
