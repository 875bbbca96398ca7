"""Spending against budgets, exact to the nano-dollar, for the UTC day of the moment asked about."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.request import Window
from context_builder.source import Section, Status
from context_builder.sources.budgets import MAX_FACTS, source
from context_builder.text.formatting import format_dollars, format_percent
from models import User
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway, asking

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIDNIGHT = NOON - 12 * HOUR
TINY = timedelta(microseconds=1)


def texts(section: Section) -> list[str]:
    return [fact.text for fact in section.facts]


async def spend(gateway: Gateway, user: str, *amounts: str, at: datetime = NOON - HOUR) -> None:
    for amount in amounts:
        await gateway.send(at, user=user, cost_usd=Decimal(amount))


async def test_those_nearest_to_their_budget_come_first(gateway: Gateway) -> None:
    """Over, at, near and far from the budget are distinguished, also in the header."""
    await gateway.deployment()
    for name, amount in (("over", "1.5"), ("at", "1"), ("near", "0.8"), ("far", "0.3"), ("none", "0")):
        await gateway.user(f"user_{name}", daily_budget_usd=Decimal(1))
        await spend(gateway, f"user_{name}", amount)
    section = await gateway.read(source)
    assert section.header == (
        "5 users with a daily budget, $3.60 spent since midnight; 1 over budget, 2 near it, "
        "2 projected to exceed it"
    )
    day = [text.partition(" (premium): ")[::2] for text in texts(section)]
    assert day == [
        ("user_over", "$1.50 of $1.00 spent today (150.0 %), OVER by $0.50; projected $3.00 by midnight"),
        ("user_at", "$1.00 of $1.00 spent today (100 %), $0.00 remaining; projected $2.00 by midnight"),
        ("user_near", "$0.80 of $1.00 spent today (80.0 %), $0.20 remaining; projected $1.60 by midnight"),
        ("user_far", "$0.30 of $1.00 spent today (30.0 %), $0.70 remaining; projected $0.60 by midnight"),
        ("user_none", "$0.00 of $1.00 spent today (0 %), $1.00 remaining; projected $0.00 by midnight"),
    ]
    assert section.facts[0].short == "user_over: $1.50 of the daily $1.00 spent (150.0 %)"


@given(st.integers(60, 9 * 24 * 60), st.integers(0, 59))
@settings(max_examples=25, deadline=None)
async def test_every_amount_is_that_of_the_requests_sent(busy: Gateway, back: int, seconds: int) -> None:
    """Spending counts from the last midnight UTC up to the minute of the moment."""
    as_of = NOON - back * MINUTE + timedelta(seconds=seconds)
    section = await busy.read(source, asking(as_of))
    midnight = as_of.replace(hour=0, minute=0, second=0)
    today = Window(midnight, as_of.replace(second=0))
    spent = {
        name: sum((r.cost_usd for r in busy.sent_in(today, user_id=number)), Decimal(0))
        for name, (number, _) in busy.users.items()
    }
    assert (
        f"4 users with a daily budget, {format_dollars(sum(spent.values(), Decimal(0)))} spent"
        in section.header
    )
    budgets = {name: Decimal(number) / 10 for number, name in enumerate(busy.users)}
    over = sum(spent[name] > budgets[name] for name in spent)
    assert f"; {over} over budget, " in section.header
    told = {text.split(" ")[0]: text for text in texts(section)}
    assert set(told) == set(spent)
    for name, text in told.items():
        assert f": {format_dollars(spent[name])} of {format_dollars(budgets[name])} spent today" in text
        assert ("OVER by" in text) is (spent[name] > budgets[name])
        if budgets[name]:
            assert f"({format_percent(spent[name], budgets[name])})" in text
        if today.length >= HOUR:
            projected = spent[name] * 24 * 60 / (today.length // MINUTE)
            assert text.endswith(f"; projected {format_dollars(projected)} by midnight")


@pytest.mark.parametrize(
    ("as_of", "spent", "projected"),
    [
        (MIDNIGHT - MINUTE, "$5.00", "$5.00"),
        (MIDNIGHT, "$0.00", None),
        (MIDNIGHT + MINUTE - TINY, "$0.00", None),
        (MIDNIGHT + MINUTE, "$2.00", None),
        (MIDNIGHT + HOUR - TINY, "$2.00", None),
        (MIDNIGHT + HOUR, "$2.00", "$48.00"),
    ],
)
async def test_a_day_begins_at_midnight_utc(
    gateway: Gateway, as_of: datetime, spent: str, projected: str | None
) -> None:
    """Spend before midnight belongs to yesterday, and less than an hour is not projected."""
    await gateway.deployment()
    await gateway.user(daily_budget_usd=Decimal(100))
    await spend(gateway, "user_a", "5", at=MIDNIGHT - 2 * MINUTE)
    await spend(gateway, "user_a", "2", at=MIDNIGHT)
    section = await gateway.read(source, asking(as_of))
    (text,) = texts(section)
    assert f": {spent} of $100.00" in text
    assert text.partition("; ")[2] == (f"projected {projected} by midnight" if projected else "")
    assert section.header.endswith("too early to project") is (projected is None)


async def test_a_budget_of_zero_is_passed_by_any_spending_and_by_none_is_not(gateway: Gateway) -> None:
    """A budget of zero has no share; a user who spends against it is over and comes first."""
    await gateway.deployment()
    for name, budget in (("idle", "0"), ("busy", "0"), ("rich", "1")):
        await gateway.user(f"user_{name}", daily_budget_usd=Decimal(budget))
    await spend(gateway, "user_busy", "0.000000001")
    await spend(gateway, "user_rich", "5")
    section = await gateway.read(source)
    assert "1 over budget" not in section.header
    assert "; 2 over budget, 0 near it, 0 projected to exceed it" in section.header
    assert [text.split(";")[0] for text in texts(section)] == [
        "user_busy (premium): $0.000000001 of $0.00 spent today, OVER by $0.000000001",
        "user_rich (premium): $5.00 of $1.00 spent today (500.0 %), OVER by $4.00",
        "user_idle (premium): $0.00 of $0.00 spent today, $0.00 remaining",
    ]


async def test_users_without_a_budget_are_left_out(gateway: Gateway) -> None:
    """Users without a budget are left out; without others the section is empty."""
    await gateway.deployment()
    await gateway.user()
    await spend(gateway, "user_a", "5")
    section = await gateway.read(source)
    assert (section.status, section.header, section.gaps) == (
        Status.EMPTY, "no user in scope has a known daily budget", (),
    )  # fmt: skip


async def test_a_budget_of_later_is_a_gap_at_a_past_moment(gateway: Gateway) -> None:
    """A budget that changed or was removed later is unknown."""
    await gateway.deployment()
    for name in ("a", "b", "c", "d"):
        await gateway.user(f"user_{name}", "premium", daily_budget_usd=Decimal(1))
    await gateway.user(
        "user_later", created_at=NOON + TINY, updated_at=NOON + TINY, daily_budget_usd=Decimal(1)
    )
    await gateway.change(User, "user_a", daily_budget_usd=Decimal(77), updated_at=NOON + HOUR)
    await gateway.change(User, "user_b", daily_budget_usd=None, updated_at=NOON + HOUR)
    await gateway.change(User, "user_c", tier="standard", updated_at=NOON + HOUR)
    gap = "tier and budget at this moment of {} changed later"
    for scope, known, changed in (
        ({}, ["user_d"], "3 users"),
        ({"tiers": ("premium",)}, ["user_d"], "3 users"),
        ({"user_ids": gateway.id_of("user_a", "user_d")}, ["user_d"], "1 user"),
        ({"user_ids": gateway.id_of("user_a")}, [], "1 user"),
    ):
        section = await gateway.read(source, asking(**scope))
        assert [text.split(" ")[0] for text in texts(section)] == known
        assert section.gaps == (gap.format(changed),)
        assert "77" not in str(section)


async def test_only_users_in_scope_are_told(gateway: Gateway) -> None:
    """Named users and tiers are combined; nobody else's spend is in the total."""
    await gateway.deployment()
    for name, tier in (("a", "premium"), ("b", "standard"), ("c", "budget")):
        await gateway.user(f"user_{name}", tier, daily_budget_usd=Decimal(10))
        await spend(gateway, f"user_{name}", "1")
    only_a = await gateway.read(source, asking(user_ids=gateway.id_of("user_a")))
    assert only_a.header.startswith("1 user with a daily budget, $1.00 spent")
    both = await gateway.read(source, asking(user_ids=gateway.id_of("user_a"), tiers=("budget",)))
    assert [text.split(" ")[0] for text in texts(both)] == ["user_a", "user_c"]
    assert both.header.startswith("2 users with a daily budget, $2.00 spent")


async def test_very_many_users_are_counted_and_the_nearest_listed(gateway: Gateway) -> None:
    """Facts are bounded, totals are complete, and ties have one order."""
    await gateway.deployment()
    async with gateway.database.write() as session:
        rows = [
            User(
                public_id=f"{'uU'[number % 2]}{number:04}",
                tier="budget",
                daily_budget_usd=Decimal(2),
                created_at=MIDNIGHT,
                updated_at=MIDNIGHT,
            )
            for number in range(1_000)
        ]
        session.add_all(rows)
    gateway.users = {row.public_id: (row.id, row.tier) for row in rows}
    spenders = [row.public_id for row in rows[:900:10]]
    await gateway.append(
        [gateway.request(NOON - HOUR, user=name, cost_usd=Decimal("0.000000003")) for name in spenders]
    )
    section = await gateway.read(source)
    assert section.header == (
        f"1,000 users with a daily budget, $0.000000270 spent since midnight; 0 over budget, 0 near it, "
        f"0 projected to exceed it; the top {MAX_FACTS} by share used are listed"
    )
    assert [text.split(" ")[0] for text in texts(section)] == sorted(spenders[:MAX_FACTS])
    await gateway.user("user_frozen", daily_budget_usd=Decimal(0))
    await spend(gateway, "user_frozen", "0.01")
    section = await gateway.read(source)
    assert [text.split(" ")[0] for text in texts(section)] == [
        "user_frozen",
        *sorted(spenders[: MAX_FACTS - 1]),
    ]


async def test_spending_of_millions_does_not_overflow(gateway: Gateway) -> None:
    """Projections do not overflow 64 bits for large budgets."""
    await gateway.deployment()
    await gateway.user(daily_budget_usd=Decimal(400_000_000))
    await spend(gateway, "user_a", "250000000.5")
    section = await gateway.read(source)
    assert "$250,000,000.50 spent since midnight; 0 over budget, 0 near it, 1 projected" in section.header
