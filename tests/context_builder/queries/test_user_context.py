"""A user's budget and traffic are those of the sent requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from context_builder.queries import NotFound, UserContext, query_session, user_context
from context_builder.queries.user_context import UserUsage
from models import User
from tests.support.bounded_plans import planning, unbounded
from tests.support.gateway import AGES_AGO, DAY, HOUR, MINUTE, NOON, TIER_OF, Gateway
from tests.support.statements import captured

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.both_databases]


async def context(gateway: Gateway, user: str = "user_a", as_of: datetime | None = NOON) -> UserContext:
    async with query_session(gateway.database) as session:
        return await user_context(session, user, as_of=as_of)


@pytest.mark.parametrize("name", TIER_OF)
@pytest.mark.parametrize(
    "as_of", [NOON, NOON - 90 * MINUTE, NOON - 12 * HOUR, NOON - DAY - timedelta(seconds=7)]
)
async def test_every_sum_is_that_of_the_requests_sent(busy: Gateway, name: str, as_of: datetime) -> None:
    """Usage matches since midnight, in 24 hours and in 7 days; at midnight the day is empty."""
    told = await context(busy, name, as_of)
    end = as_of.replace(second=0)
    mine = [r for r in busy.sent if r.user_id == busy.users[name][0]]

    def check(spent: UserUsage, since: datetime) -> None:
        sent = [r for r in mine if since <= r.created_at < end]
        assert (spent.since, spent.until, spent.requests) == (since, end, len(sent))
        assert spent.cost_usd == sum((r.cost_usd for r in sent), Decimal(0))

    check(told.today, as_of.replace(hour=0, minute=0, second=0))
    check(told.last_24_hours, end - DAY)
    check(told.last_7_days, end - 7 * DAY)
    assert told.tier == TIER_OF[name]
    assert told.last_request_at == max(r.created_at for r in mine if r.created_at <= as_of)
    budget = told.daily_budget_usd
    assert budget is not None
    assert told.budget_left_usd == budget - told.today.cost_usd
    assert told.budget_used == (told.today.cost_usd / budget if budget else None)


async def test_now_the_minute_that_is_running_counts(gateway: Gateway) -> None:
    """A request of a second ago counts as spent."""
    await gateway.deployment()
    await gateway.user(daily_budget_usd=Decimal("0.5"))
    now = datetime.now(UTC)
    await gateway.send(now, cost_usd=Decimal("0.75"))
    told = await context(gateway, as_of=None)
    if told.as_of.date() == now.date():  # else midnight has passed in between
        assert (told.budget_used, told.budget_left_usd) == (Decimal("1.5"), Decimal("-0.25"))
    assert told.last_24_hours.requests == 1


async def test_tier_and_budget_of_later_are_not_told(gateway: Gateway) -> None:
    """A budget that changed later is unknown, and so is the share used; the spend is known."""
    await gateway.deployment()
    await gateway.user(daily_budget_usd=Decimal(1))
    await gateway.send(NOON - HOUR, cost_usd=Decimal("0.25"))
    await gateway.change(User, "user_a", updated_at=NOON + MINUTE)
    told = await context(gateway)
    assert (told.tier, told.daily_budget_usd, told.budget_used, told.budget_left_usd) == (None,) * 4
    assert told.today.cost_usd == Decimal("0.25")


async def test_without_a_limit_there_is_no_share(gateway: Gateway) -> None:
    """Without a budget there is no share; a user without requests has spent nothing."""
    await gateway.user()
    told = await context(gateway)
    assert (told.daily_budget_usd, told.budget_used, told.budget_left_usd) == (None, None, None)
    assert (told.today.requests, told.today.cost_usd, told.last_request_at) == (0, Decimal(0), None)


async def test_a_user_who_is_not_there_is_unknown(gateway: Gateway) -> None:
    """An unknown or later user is not found, and similar names are listed."""
    await gateway.user()
    with pytest.raises(NotFound, match="user 'user_aa' is not known; known names include user_a"):
        await context(gateway, "user_aa")
    with pytest.raises(NotFound, match="none exist yet"):
        await context(gateway, as_of=AGES_AGO - DAY)


async def test_the_log_is_read_by_its_index(busy: Gateway) -> None:
    """The log is read for one row, the user's newest."""
    with captured(busy.database) as statements:
        await context(busy)
    async with planning(busy.database) as session:
        read = [one for one in statements if "FROM requests" in one[0]]
        assert read
        for statement in read:
            assert await unbounded(session, statement) == []
