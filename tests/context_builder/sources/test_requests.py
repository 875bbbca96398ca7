"""Example requests: named, newest failed and slowest, each once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from context_builder.question.request import Topic, Window
from context_builder.source import Fact, Section, Status
from context_builder.sources.requests import MAX_FAILED, MAX_NAMED, MAX_SLOW, source
from context_builder.telemetry.newest_requests import MAX_RANGES
from models import Request, Tier, User
from models.request_log import NewRequest
from tests.support.gateway import DAY, FLEET, HOUR, MINUTE, NOON, Gateway, asking

pytestmark = pytest.mark.asyncio(loop_scope="session")

TINY = timedelta(microseconds=1)


def shown(section: Section, reason: str) -> list[str]:
    """Public ids of the requests shown for a reason, in the order of the facts."""
    return [public_id(fact) for fact in section.facts if reason in fact.text.split(")")[0]]


def public_id(fact: Fact) -> str:
    return fact.text.split(" ")[0]


def newest_failed(sent: list[NewRequest]) -> list[str]:
    failed = [r for r in sent if r.status in ("error", "timeout", "rate_limited")]
    return [r.public_id for r in sorted(failed, key=lambda r: r.created_at, reverse=True)][:MAX_FAILED]


async def ids_of(gateway: Gateway, *public_ids: str) -> tuple[int, ...]:
    async with gateway.database.read() as session:
        return tuple(await session.scalars(select(Request.id).where(Request.public_id.in_(public_ids))))


async def small(gateway: Gateway) -> None:
    await gateway.deployment("gpt-4/aws", "mistral/gcp")
    await gateway.user("user_a", "premium")
    await gateway.user("user_b", "budget")


async def test_a_request_is_told_with_all_that_explains_it(gateway: Gateway) -> None:
    """A fact shows deployment, user, outcome and routing reason."""
    await small(gateway)
    await gateway.send(
        NOON - HOUR,
        status="timeout",
        error_code="504",
        latency_ms=30_000,
        router_version="v2",
        routing_reason={"policy": "spill", "attempt": 2},
    )
    section = await gateway.read(source)
    (fact,) = section.facts
    assert fact.text == (
        "req_0 (failed, slow) at 2026-03-10 11:00 on gpt-4/aws: timeout 504, 30,000 ms; user user_a, "
        'tier premium, router v2, routing reason «{"attempt": 2, "policy": "spill"}»'
    )
    assert fact.short == "req_0 (failed, slow) at 2026-03-10 11:00 on gpt-4/aws: timeout 504, 30,000 ms"
    assert fact.topics == {Topic.ERRORS, Topic.LATENCY}
    assert section.header == "examples from the window: the newest 1 failed request, 1 slow request"


@given(
    st.integers(0, 8 * 24 * 60),
    st.integers(1, 2 * 24 * 60),
    st.lists(st.sampled_from(FLEET), unique=True, max_size=3),
    st.lists(st.sampled_from(Tier), unique=True, max_size=2),
)
@settings(max_examples=30, deadline=None)
async def test_the_newest_failed_are_found_in_any_window_and_scope(
    busy: Gateway, back: int, length: int, deployments: list[str], tiers: list[Tier]
) -> None:
    """Failed examples are the newest; slow ones are within window and scope."""
    window = Window(NOON - (back + length) * MINUTE, NOON - back * MINUTE)
    section = await busy.read(
        source,
        asking(
            since=window.start, until=window.end, deployment_ids=busy.id_of(*deployments), tiers=tuple(tiers)
        ),
    )
    sent = [
        r
        for r in busy.sent_in(window)
        if (not deployments or r.deployment_id in busy.id_of(*deployments)) and (not tiers or r.tier in tiers)
    ]
    # Not in that order: one that was slow, too, is worth more than a newer one.
    assert sorted(shown(section, "failed")) == sorted(newest_failed(sent))
    timed = {r.public_id: r.latency_ms for r in sent if r.latency_ms is not None}
    slow = shown(section, "slow")
    assert set(slow) <= set(timed)
    assert len(slow) <= MAX_SLOW
    assert bool(slow) is bool(timed)
    if timed:
        assert max(timed.values()) in {timed[name] for name in slow}


async def test_a_window_has_its_first_moment_and_not_its_last(gateway: Gateway) -> None:
    """The window is half-open for failed and slow requests alike."""
    await small(gateway)
    since, until = NOON - 100 * MINUTE, NOON - 20 * MINUTE
    _, first, last, _ = await gateway.send(since - TINY, since, until - TINY, until, status="error")
    section = await gateway.read(source, asking(since=since, until=until))
    assert shown(section, "failed") == [last, first]
    assert sorted(shown(section, "slow")) == [first, last]


async def test_a_named_user_s_requests_are_its_own(gateway: Gateway) -> None:
    """Examples of a named user come from the log and are theirs alone."""
    await small(gateway)
    (theirs,) = await gateway.send(NOON - HOUR, status="error", latency_ms=90_000, user="user_b")
    ours = await gateway.send(*(NOON - n * MINUTE for n in range(1, 8)), latency_ms=10)
    (slow,) = await gateway.send(NOON - 2 * HOUR, latency_ms=5_000, deployment="mistral/gcp")
    (failed,) = await gateway.send(NOON - 3 * HOUR, status="rate_limited", latency_ms=None)
    section = await gateway.read(source, asking(user_ids=gateway.id_of("user_a")))
    assert shown(section, "failed") == [failed]
    assert shown(section, "slow")[0] == slow
    assert len(shown(section, "slow")) == MAX_SLOW
    assert theirs not in str(section)
    section = await gateway.read(
        source, asking(user_ids=gateway.id_of("user_a"), deployment_ids=gateway.id_of("gpt-4/aws"))
    )
    assert set(shown(section, "slow")) < set(ours)


async def test_users_and_tiers_named_together_add_up(gateway: Gateway) -> None:
    """A named user and a named tier are combined."""
    await small(gateway)
    await gateway.user("user_c", "standard")
    for user in ("user_a", "user_b", "user_c"):
        await gateway.send(NOON - HOUR, status="error", user=user)
    section = await gateway.read(source, asking(user_ids=gateway.id_of("user_a"), tiers=("budget",)))
    assert sorted(shown(section, "failed")) == ["req_0", "req_1"]


async def test_a_request_that_is_asked_about_is_told_wherever_it_is(gateway: Gateway) -> None:
    """A named request is shown outside window and scope, and only once."""
    await small(gateway)
    old, failed = (
        (await gateway.send(NOON - 30 * DAY))[0],
        (await gateway.send(NOON - HOUR, status="error"))[0],
    )
    ids = await ids_of(gateway, old, failed)
    section = await gateway.read(source, asking(request_ids=ids, deployment_ids=gateway.id_of("mistral/gcp")))
    assert [public_id(fact) for fact in section.facts] == [old, failed]
    section = await gateway.read(source, asking(request_ids=ids))
    assert [public_id(fact) for fact in section.facts] == [old, failed]
    assert section.facts[1].text.startswith(f"{failed} (named in the question, failed, slow) at")


async def test_a_flood_stays_bounded(gateway: Gateway) -> None:
    """Examples are bounded, even if many requests share a time."""
    await small(gateway)
    failed = [
        gateway.request(NOON - HOUR, status=("error", "timeout", "rate_limited")[number % 3])
        for number in range(60)
    ]
    await gateway.append(failed)
    sent = [request.public_id for request in failed]
    section = await gateway.read(source, asking(request_ids=await ids_of(gateway, *sent)))
    assert len(section.facts) <= MAX_NAMED + MAX_FAILED + MAX_SLOW
    assert shown(section, "failed") == sent[: -MAX_FAILED - 1 : -1]


async def test_many_deployments_in_scope_give_what_few_would(gateway: Gateway) -> None:
    """Beyond MAX_RANGES deployments the newest are still found."""
    names = [f"m/{number:02}" for number in range(MAX_RANGES + 5)]
    await gateway.deployment(*names, "elsewhere/x")
    await gateway.user()
    sent = [
        gateway.request(NOON - (n + 1) * MINUTE, deployment=name, status=("error", "timeout")[n % 2])
        for n, name in enumerate(["elsewhere/x", *names])
    ]
    await gateway.append(sent)
    for few in (names[:3], names[:MAX_RANGES], names):
        section = await gateway.read(source, asking(deployment_ids=gateway.id_of(*few)))
        here = [r for r in sent if r.deployment_id in gateway.id_of(*few)]
        assert shown(section, "failed") == newest_failed(here)


async def test_a_tier_of_later_is_not_shown_and_that_is_said(gateway: Gateway) -> None:
    """The tier of a user who changed later is unknown and does not match."""
    await small(gateway)
    await gateway.send(NOON - HOUR, status="error")
    await gateway.change(User, "user_a", tier="standard", updated_at=NOON - MINUTE)
    section = await gateway.read(source)
    assert "tier" not in section.facts[0].text
    assert section.gaps == ("the tier of user_a when these requests were made: tier or budget changed later",)
    for tier in ("premium", "standard"):
        section = await gateway.read(source, asking(tiers=(tier,)))
        assert shown(section, "failed") == []
        assert "failed requests by tier of 1 user whose tier or budget changed" in section.gaps[-1]
    await gateway.send(NOON - TINY, status="error", tier="standard")
    section = await gateway.read(source, asking(tiers=("standard",)))
    assert shown(section, "failed") == ["req_1"]


async def test_nothing_to_show_is_empty(gateway: Gateway) -> None:
    """Pending requests are neither failed nor slow."""
    await small(gateway)
    await gateway.send(NOON - HOUR, status="pending", latency_ms=None)
    section = await gateway.read(source)
    assert (section.status, section.facts) == (Status.EMPTY, ())
    assert section.header == "no failed or timed requests in the window"
