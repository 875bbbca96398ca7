"""Daily budgets: answers "who is over budget, and who will be by the end of the day?".

Columns: daily budget, spent and remaining since midnight UTC on all deployments, and spent by next midnight
if the rest of the day goes on like the part before (US dollars).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Numeric,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    true,
    type_coerce,
)  # fmt: skip

from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.question.time_phrases import floor_to_minute
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.rollups import in_window
from context_builder.text.formatting import format_count, format_dollars, format_name, format_percent
from models import User, UserSpend
from models.tables.schema import Money

SOON = timedelta(hours=1)
"""Earlier in the day a projection would say more about chance than about the user."""
NEAR_PERCENT = 80
"""From this share of the budget on, a user is near it."""
MOST = 30
_REFUSED = frozenset({Topic.COST, Topic.ERRORS, Topic.HEALTH, Topic.INCIDENTS, Topic.CHANGES, Topic.VOLUME})
"""Over budget, a user's requests may be refused, which shows in more than cost."""
_DAY = timedelta(days=1)
_Exact = Numeric(38, 0).with_variant(BigInteger(), "sqlite")
"""Nano-dollars that may be multiplied by the seconds of a day."""


@dataclass(frozen=True, slots=True)
class Spending:
    """One user's day so far."""

    user: str
    tier: str
    budget: Decimal
    spent: Decimal
    projected: Decimal | None

    @property
    def used(self) -> Decimal:
        """Share of the budget that is spent; above 1 is over."""
        if not self.budget:
            return Decimal("Infinity") if self.spent else Decimal(0)
        return self.spent / self.budget


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Users with a budget, those nearest to it first."""
    midnight = request.as_of.replace(hour=0, minute=0, second=0, microsecond=0)
    today = Window(midnight, floor_to_minute(request.as_of))
    usage = _usage(request, today)
    async with stores.snapshot.session() as session:
        totals = (await session.execute(_totals(usage, today))).one()
        rows = (await session.execute(_nearest(usage))).all()
        changed = await session.scalar(_changed_later(request)) or 0
    gaps = _gap(changed)
    if not rows:
        return Section("no user in scope has a known daily budget", status=Status.EMPTY, gaps=gaps)
    spendings = sorted(
        (Spending(*row, projected=_projected(row.spent, today)) for row in rows),
        key=lambda spending: (-spending.used, spending.user),
    )
    number, spent, over, near, will = totals
    will_pass = f"{will:,} projected to pass it today" if today.length >= SOON else "too early to project"
    listed = f"; the {MOST} who used most of it are listed" if number > MOST else ""
    return Section(
        f"{format_count(number, 'user')} with a daily budget, {format_dollars(spent)} spent since midnight; "
        f"{over:,} over budget, {near:,} near it, {will_pass}{listed}",
        tuple(_fact(spending) for spending in spendings),
        gaps=gaps,
    )


def _usage(request: ContextRequest, today: Window) -> Subquery:
    """Budget and spending of every user in scope whose budget at `as_of` is known, in nano-dollars."""
    scope = request.scope
    only_users = UserSpend.user_id.in_(scope.user_ids) if scope.user_ids and not scope.tiers else true()
    spent = (
        select(UserSpend.user_id, func.sum(type_coerce(UserSpend.cost_usd, BigInteger)).label("nano"))
        .where(in_window(UserSpend, today), only_users)
        .group_by(UserSpend.user_id)
        .subquery()
    )
    return (
        select(
            User.id,
            User.public_id,
            User.tier,
            cast(type_coerce(User.daily_budget_usd, BigInteger), _Exact).label("budget"),
            cast(func.coalesce(spent.c.nano, 0), _Exact).label("spent"),
        )
        .outerjoin(spent, spent.c.user_id == User.id)
        .where(
            User.created_at <= request.as_of,
            User.updated_at <= request.as_of,
            User.daily_budget_usd.is_not(None),
            _in_scope(request),
        )
        .subquery()
    )


def _in_scope(request: ContextRequest) -> ColumnElement[bool]:
    """Users who are named, and users of the tiers that are named."""
    scope = request.scope
    if not scope.user_ids and not scope.tiers:
        return true()
    return or_(User.id.in_(scope.user_ids), User.tier.in_(scope.tiers))


def _changed_later(request: ContextRequest) -> Select[int]:
    """How many users may be in scope, but have a tier and budget of later than `as_of`."""
    changed = select(func.count()).where(User.created_at <= request.as_of, User.updated_at > request.as_of)
    if request.scope.user_ids and not request.scope.tiers:
        return changed.where(User.id.in_(request.scope.user_ids))
    return changed


def _totals(usage: Subquery, today: Window) -> Select[int, Decimal, int, int, int]:
    """Users, what they spent, and how many are over budget, near it, and on the way to pass it."""
    budget, spent = usage.c.budget, usage.c.spent
    near = and_(spent <= budget, budget > 0, spent * 100 >= budget * NEAR_PERCENT)
    will = and_(spent <= budget, spent * _seconds(_DAY) > budget * _seconds(today.length))
    return select(
        func.count(),
        type_coerce(func.coalesce(func.sum(spent), 0), Money),
        func.count().filter(spent > budget),
        func.count().filter(near),
        func.count().filter(will),
    ).select_from(usage)


def _nearest(usage: Subquery) -> Select[str, str, Decimal, Decimal]:
    budget, spent = usage.c.budget, usage.c.spent
    used = case((budget > 0, cast(spent, Float) / cast(budget, Float)), (spent > 0, 1e30), else_=0.0)
    return (
        select(
            usage.c.public_id,
            usage.c.tier,
            type_coerce(budget, Money).label("budget"),
            type_coerce(spent, Money).label("spent"),
        )
        .order_by(used.desc(), usage.c.id)
        .limit(MOST)
    )


def _seconds(span: timedelta) -> int:
    return span // timedelta(seconds=1)


def _projected(spent: Decimal, today: Window) -> Decimal | None:
    return spent * _seconds(_DAY) / _seconds(today.length) if today.length >= SOON else None


def _gap(changed_later: int) -> tuple[str, ...]:
    if not changed_later:
        return ()
    return (
        f"tier and budget at this moment of {format_count(changed_later, 'user')} who were changed later",
    )


def _fact(spending: Spending) -> Fact:
    user, remaining = format_name(spending.user), spending.budget - spending.spent
    share = f" ({format_percent(spending.spent, spending.budget)})" if spending.budget else ""
    left = (
        f"{format_dollars(remaining)} remaining"
        if remaining >= 0
        else f"OVER by {format_dollars(-remaining)}"
    )
    short = f"{user}: {format_dollars(spending.spent)} of the daily {format_dollars(spending.budget)} spent{share}"
    text = (
        f"{user} ({spending.tier}): {format_dollars(spending.spent)} of {format_dollars(spending.budget)} "
        f"spent today{share}, {left}"
    )
    if spending.projected is not None:
        text += f"; projected {format_dollars(spending.projected)} by midnight"
    return Fact(
        text,
        short,
        0.4 + 0.6 * float(min(spending.used, Decimal(1))),
        _REFUSED if remaining < 0 else frozenset(),
        kind="users with a budget",
    )


source = ContextSource("budgets", "B", frozenset({Topic.COST}), 2.0, read)
