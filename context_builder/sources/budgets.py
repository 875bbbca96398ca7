"""Daily budgets: answers "who is over budget, and who will be by the end of the day?".

Columns: daily budget, spent and remaining since midnight UTC across all deployments, and the projected spend
by the next midnight at the day's average rate (US dollars).
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
    type_coerce,
)  # fmt: skip

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.question.times.bounds import floor_to_minute
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.telemetry.user_scope import of_users
from context_builder.telemetry.user_spend import spend_in
from context_builder.text.formatting import format_count, format_dollars, format_name, format_percent
from models import User, UserSpend
from models.database import ReadSession
from models.tables.schema import Money

MIN_PROJECTION_SPAN = timedelta(hours=1)
"""Earlier in the day a projection would be mostly noise."""
NEAR_PERCENT = 80
"""Share of the budget from which a user is near it."""
MAX_FACTS = 30
_OVER_BUDGET_TOPICS = frozenset(
    {Topic.COST, Topic.ERRORS, Topic.HEALTH, Topic.INCIDENTS, Topic.CHANGES, Topic.VOLUME}
)
"""A user over budget may have requests refused, which affects more than cost."""
_DAY = timedelta(days=1)
_Exact = Numeric(38, 0).with_variant(BigInteger(), "sqlite")
"""Nano-dollars, wide enough to be multiplied by the seconds of a day."""


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """One user's spending today."""

    user: str
    tier: str
    budget: Decimal
    spent: Decimal
    projected: Decimal | None

    @property
    def used(self) -> Decimal:
        """Return the share of the budget that is spent; above 1 is over budget."""
        if not self.budget:
            return Decimal("Infinity") if self.spent else Decimal(0)
        return self.spent / self.budget


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the users with a daily budget, sorted by the share used."""
    midnight = request.as_of.replace(hour=0, minute=0, second=0, microsecond=0)
    today = Window(midnight, floor_to_minute(request.as_of))
    async with stores.snapshot.session() as session:
        usage = _usage(session, request, today)
        totals = (await session.execute(_totals(usage, today))).one()
        rows = (await session.execute(_highest_use(usage))).all()
        changed = await session.scalar(_changed_later(request)) or 0
    gaps = _gaps(changed)
    if not rows:
        return Section("no user in scope has a known daily budget", status=Status.EMPTY, gaps=gaps)
    uses = sorted(
        (BudgetUse(*row, projected=_project(row.spent, today)) for row in rows),
        key=lambda use: (-use.used, use.user),
    )
    number, spent, over, near, will = totals
    is_early = today.length < MIN_PROJECTION_SPAN
    projection = "too early to project" if is_early else f"{will:,} projected to exceed it"
    listed = f"; the top {MAX_FACTS} by share used are listed" if number > MAX_FACTS else ""
    return Section(
        f"{format_count(number, 'user')} with a daily budget, {format_dollars(spent)} spent since midnight; "
        f"{over:,} over budget, {near:,} near it, {projection}{listed}",
        tuple(_fact(use) for use in uses),
        gaps=gaps,
        headline=Headline(
            text=f"{over:,} of {format_count(number, 'user')} over budget, {near:,} near it; "
            f"{format_dollars(spent)} spent since midnight",
            role=Role.COUNT,
            nouns=(Noun.USER,),
            topic=Topic.COST,
            alarm=over > 0,
        ),
    )


def _usage(session: ReadSession, request: ContextRequest, today: Window) -> Subquery:
    """Select budget and spending, in nano-dollars, of users in scope whose budget at `as_of` is known."""
    buckets = spend_in(session, today, of_users(request.scope, UserSpend.user_id))
    spent = (
        select(buckets.c.user_id, func.sum(buckets.c.nano).label("nano"))
        .group_by(buckets.c.user_id)
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
    """Return the condition for the named users and the users of the named tiers, without those left out."""
    scope = request.scope
    in_scope = of_users(scope, User.id)
    if not scope.tiers:
        return in_scope
    return and_(in_scope, or_(User.id.in_(scope.user_ids), User.tier.in_(scope.tiers)))


def _changed_later(request: ContextRequest) -> Select[int]:
    """Count users who may be in scope but whose tier or budget changed after `as_of`."""
    changed = select(func.count()).where(User.created_at <= request.as_of, User.updated_at > request.as_of)
    return changed.where(of_users(request.scope, User.id))


def _totals(usage: Subquery, today: Window) -> Select[int, Decimal, int, int, int]:
    """Select the number of users, their spend, and how many are over budget, near it or due to exceed it."""
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


def _highest_use(usage: Subquery) -> Select[str, str, Decimal, Decimal]:
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
        .limit(MAX_FACTS)
    )


def _seconds(span: timedelta) -> int:
    return span // timedelta(seconds=1)


def _project(spent: Decimal, today: Window) -> Decimal | None:
    return spent * _seconds(_DAY) / _seconds(today.length) if today.length >= MIN_PROJECTION_SPAN else None


def _gaps(changed_later: int) -> tuple[str, ...]:
    users = format_count(changed_later, "user")
    return (f"tier and budget at this moment of {users} changed later",) if changed_later else ()


def _fact(use: BudgetUse) -> Fact:
    user, remaining = format_name(use.user), use.budget - use.spent
    share = f" ({format_percent(use.spent, use.budget)})" if use.budget else ""
    is_over = remaining < 0
    left = f"OVER by {format_dollars(-remaining)}" if is_over else f"{format_dollars(remaining)} remaining"
    spent, budget = format_dollars(use.spent), format_dollars(use.budget)
    text = f"{user} ({use.tier}): {spent} of {budget} spent today{share}, {left}"
    if use.projected is not None:
        text += f"; projected {format_dollars(use.projected)} by midnight"
    return Fact(
        text,
        f"{user}: {spent} of the daily {budget} spent{share}",
        0.4 + 0.6 * float(min(use.used, Decimal(1))),
        _OVER_BUDGET_TOPICS if is_over else frozenset(),
        kind="users with a budget",
        headline=Headline(
            text=f"{user} {spent} of the daily {budget}{share}{' OVER budget' if is_over else ''}",
            role=Role.RANKING,
            nouns=(Noun.USER,),
            topic=Topic.COST,
            alarm=is_over,
            value=float(use.spent),
        ),
    )


source = ContextSource(
    "budgets",
    "B",
    frozenset({Topic.COST}),
    2.0,
    read,
    shows_to_confined=Shown.OWN,
)
