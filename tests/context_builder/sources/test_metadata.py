"""Deployment details, load against capacity, and latency of health checks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.source import Section, Status
from context_builder.sources.metadata import MAX_CHECKS, MAX_FACTS, source
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.gateway_context import checks

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


def about(section: Section, name: str) -> str:
    (found,) = [fact.text for fact in section.facts if fact.text.startswith(f"{name}:")]
    return found


async def test_a_deployment_is_described_with_its_load(gateway: Gateway) -> None:
    """A fact shows the row and the last hour as a share of capacity."""
    await gateway.deployment(
        "gpt-4/aws",
        version="v3.1",
        region="eu-1",
        endpoint="https://user:secret@gpt.example:8443/v1?key=secret",
        capacity_rpm=10,
        last_seen_at=NOON - 3 * MINUTE,
    )
    await gateway.user()
    await gateway.send(*[NOON - 5 * MINUTE] * 9, *[NOON - 30 * MINUTE] * 3, NOON - 61 * MINUTE)
    section = await gateway.read(source)
    assert about(section, "gpt-4/aws") == (
        "gpt-4/aws: model gpt-4; version v3.1; region eu-1; endpoint https://gpt.example:8443/v1; "
        "last seen 3 min ago; 12 requests in the last hour, 0.2 a minute, 9 in the busiest; "
        "2.0 % and 90.0 % of its capacity of 10 requests per minute"
    )
    assert section.facts[0].importance == 0.75
    assert section.header == "1 deployment of 1 model"
    assert "secret" not in str(section)


async def test_load_at_capacity_ranks_first(gateway: Gateway) -> None:
    """An hour near capacity ranks above a busy minute, and that above the rest."""
    await gateway.deployment("full/x", "peak/x", capacity_rpm=1)
    await gateway.deployment("idle/x", capacity_rpm=1_000)
    await gateway.user()
    await gateway.send(*(NOON - n * MINUTE for n in range(1, 61)), deployment="full/x")
    await gateway.send(NOON - MINUTE, deployment="peak/x")
    section = await gateway.read(source)
    assert [(fact.text.split(":")[0], fact.importance) for fact in section.facts] == [
        ("full/x", 0.9),
        ("peak/x", 0.75),
        ("idle/x", 0.4),
    ]


async def test_health_checks_are_compared_with_before(gateway: Gateway) -> None:
    """Health checks show newest, median, unanswered and previous median; later ones are left out."""
    number = await gateway.deployment()
    await gateway.add(
        *checks(number, 40, *(NOON - 2 * DAY - n * HOUR for n in range(9))),
        *checks(number, 90, *(NOON - n * HOUR for n in range(2, 12))),
        *checks(number, None, NOON - HOUR),
        *checks(number, 120, NOON - MINUTE),
        *checks(number, 9_999, NOON, NOON + SECOND),
    )
    section = await gateway.read(source)
    assert about(section, "gpt-4/aws").endswith(
        "12 health checks of the window: newest 120 ms, median 90 ms, 1 unanswered; "
        "median before 40 ms (2.2 times that)"
    )
    assert section.facts[0].importance == 0.7


async def test_an_unanswered_check_is_told_as_such(gateway: Gateway) -> None:
    """An unanswered check is not a latency of 0."""
    number = await gateway.deployment()
    await gateway.add(*checks(number, None, NOON - MINUTE))
    text = about(await gateway.read(source), "gpt-4/aws")
    assert text.endswith("; 1 health check of the window: newest unanswered, 1 unanswered")


async def test_columns_of_later_are_a_gap(gateway: Gateway) -> None:
    """Law 3: overwritten columns are unknown; load and health checks have history."""
    number = await gateway.deployment(version="of later", capacity_rpm=7, updated_at=NOON + SECOND)
    await gateway.deployment("b/x", last_seen_at=NOON + SECOND, version="v1")
    await gateway.user()
    await gateway.send(NOON - MINUTE)
    await gateway.add(*checks(number, 40, NOON - MINUTE))
    section = await gateway.read(source)
    assert "of later" not in str(section)
    assert "capacity of" not in str(section.facts)
    assert "1 request in the last hour" in about(section, "gpt-4/aws")
    assert "newest 40 ms" in about(section, "gpt-4/aws")
    assert about(section, "b/x") == (
        "b/x: model b; version v1; 0 requests in the last hour, 0.0 a minute, 0 in the busiest"
    )
    assert section.gaps == (
        (
            "version, region, endpoint, capacity and last seen at this moment of gpt-4/aws: "
            "the recorded values are newer"
        ),
    )
    live = await gateway.read(source, asking(live=True))
    assert live.gaps == ()


async def test_a_large_fleet_stays_bounded(gateway: Gateway) -> None:
    """The busiest deployments have facts, the others are named, and few checks are read."""
    names = [f"m{n:03}/x" for n in range(MAX_FACTS + 50)]
    await gateway.deployment(*names)
    await gateway.user()
    await gateway.send(NOON - MINUTE, deployment=names[-1])
    busiest = gateway.deployments[names[-1]]
    await gateway.add(*checks(busiest, 5, *(NOON - n * SECOND for n in range(1, MAX_CHECKS + 200))))
    section = await gateway.read(source)
    assert len(section.facts) == MAX_FACTS + 1
    assert f"newest {MAX_CHECKS} health checks of the window" in about(section, names[-1])
    assert section.facts[-1].text.startswith("50 more deployments: m029/x")
    assert section.facts[-1].text.endswith("and 30 more")


async def test_no_deployments_is_empty(gateway: Gateway) -> None:
    """An empty table gives an empty section that says so."""
    section = await gateway.read(source)
    assert (section.status, section.header) == (Status.EMPTY, "no deployments are known")
