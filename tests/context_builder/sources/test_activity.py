"""User activity: profile, actions up to the moment, and requests compared with the baseline."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from context_builder.source import Section, Status
from context_builder.sources.activity import MAX_ACTIONS, MAX_USERS, source
from models import UserAction
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking, people

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


def of_kind(section: Section, kind: str) -> list[str]:
    return [fact.text for fact in section.facts if fact.kind == kind]


async def test_only_a_user_who_is_asked_about_is_told_of(gateway: Gateway) -> None:
    """Without a user in scope nothing is read; a user who joined later is unknown."""
    await people(gateway)
    section = await gateway.read(source)
    assert (section.status, section.header) == (Status.EMPTY, "no user in scope")
    late = await gateway.user("user_late", created_at=NOON + SECOND)
    section = await gateway.read(source, asking(user_ids=(late,)))
    assert (section.status, section.facts) == (Status.EMPTY, ())


async def test_profile_and_actions_until_the_moment(gateway: Gateway) -> None:
    """Actions in the window come first; later ones and those of other users are left out."""
    await gateway.user("user_b")
    me = await gateway.user("user_a", name="Ann A.", role="admin")
    other = gateway.id_of("user_b")[0]
    await gateway.add(
        UserAction(user_id=me, occurred_at=NOON, action="key.create", detail="for ci"),
        UserAction(user_id=me, occurred_at=NOON - HOUR, action="batch.submit"),
        UserAction(user_id=me, occurred_at=NOON - 3 * DAY, action="limit.raise"),
        UserAction(user_id=me, occurred_at=NOON - 9 * DAY, action="too.old"),
        UserAction(user_id=me, occurred_at=NOON + SECOND, action="of.later"),
        UserAction(user_id=other, occurred_at=NOON - HOUR, action="of.another"),
    )
    section = await gateway.read(source, asking(user_ids=(me,)))
    assert of_kind(section, "user profiles") == [
        "user_a: name «Ann A.», role admin, tier premium, user since 2025-02-03 12:00 (400 d 0 h)"
    ]
    assert of_kind(section, "user actions") == [
        "user_a at 2026-03-10 11:00: batch.submit",
        "user_a at 2026-03-10 12:00: key.create, «for ci»",
        "user_a at 2026-03-07 12:00: limit.raise",
    ]


async def test_what_he_sent_is_compared_with_before(gateway: Gateway) -> None:
    """Requests, cost, hourly rates, failures by code and deployments are exact."""
    await people(gateway)
    recent = [NOON - n * 10 * MINUTE for n in range(1, 49)]
    await gateway.send(*recent, cost_usd=Decimal("0.50"))
    await gateway.send(NOON - HOUR, status="error", error_code="503", deployment="mistral/gcp")
    await gateway.send(NOON - HOUR, status="error", deployment="mistral/gcp")
    await gateway.send(NOON - 3 * DAY, cost_usd=Decimal(48))
    await gateway.send(NOON - HOUR, user="user_b")
    request = asking(user_ids=gateway.id_of("user_a"))
    section = await gateway.read(source, request)
    assert of_kind(section, "user volumes") == [
        (
            "user_a sent 50 requests for $24.00 in the window, on all deployments: "
            "2.1 requests and $1.00 an hour; from 2026-03-07 12:00 until then 0.0 requests and $1.00 an hour"
        )
    ]
    assert of_kind(section, "user breakdowns") == [
        "all 50 requests of user_a in the window: 2 of 50 requests failed (4.0 %): error 1, error 503 1",
        "all 50 requests of user_a in the window by deployment: gpt-4/aws 48 (96.0 %), mistral/gcp 2 (4.0 %)",
    ]
    narrow = asking(user_ids=gateway.id_of("user_a"), deployment_ids=gateway.id_of("mistral/gcp"))
    head = "all 2 requests of user_a on the deployments in scope in the window"
    assert of_kind(await gateway.read(source, narrow), "user breakdowns") == [
        f"{head}: 2 of 2 requests failed (100 %): error 1, error 503 1",
        f"{head} by deployment: mistral/gcp 2 (100 %)",
    ]


async def test_silence_is_told(gateway: Gateway) -> None:
    """A user without requests has a fact that says so and shows the baseline."""
    await people(gateway)
    await gateway.send(NOON - 2 * DAY)
    section = await gateway.read(source, asking(user_ids=gateway.id_of("user_a")))
    (told,) = of_kind(section, "user volumes")
    assert told.startswith("user_a sent no requests in the window; from 2026-03-08 12:00 until then")


async def test_a_tier_of_later_is_a_gap(gateway: Gateway) -> None:
    """Law 3: an overwritten tier is unknown, and the later one is not shown."""
    me = await gateway.user("user_a", "budget", updated_at=NOON + SECOND)
    section = await gateway.read(source, asking(user_ids=(me,)))
    assert "tier unknown at this moment" in of_kind(section, "user profiles")[0]
    assert section.gaps == ("the tier at this moment of user_a: tier or budget changed later",)
    assert "tier budget" not in str(section)


async def test_a_busy_user_stays_bounded(gateway: Gateway) -> None:
    """Actions and users shown are bounded, and the rest is counted."""
    ids = [await gateway.user(f"user_{number}") for number in range(MAX_USERS + 2)]
    await gateway.add(
        *(
            UserAction(
                user_id=ids[0], occurred_at=NOON - number * SECOND, action=f"a.{number}", detail="x" * 9_000
            )
            for number in range(MAX_ACTIONS + 30)
        )
    )
    section = await gateway.read(source, asking(user_ids=tuple(ids)))
    assert len(of_kind(section, "user actions")) == MAX_ACTIONS
    assert "activity of 2 more users in scope" in section.gaps
    assert all(len(fact.text) < 600 and 0 <= fact.importance <= 1 for fact in section.facts)
