"""Daily budgets: answers "who is over budget, and who will be by the end of the day?".

Columns: daily budget, spent and remaining since midnight UTC, and spent by next midnight if the rest of the
day goes on like the part before (US dollars).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, func, select, true

from context_builder.figures import count, dollars
from context_builder.request import ContextRequest, Topic, Window
from context_builder.rollup_query import within
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.time_phrases import whole_minutes
from context_builder.untrusted import one_line
from models import User, UserSpend
from models.schema import Money

SOON = timedelta(hours=1)
"""Earlier in the day a projection would say more about chance than about the user."""
NEAR = Decimal("0.8")
"""From this share of the budget on, a user is near it."""
MOST = 30


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
        """Share of the budget that is spent; 1 and more is over."""
        return self.spent / self.budget if self.budget else Decimal(int(self.spent > 0))


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Users with a budget, those nearest to it first."""
    midnight = request.as_of.replace(hour=0, minute=0, second=0, microsecond=0)
    today = Window(midnight, whole_minutes(request.as_of))
    async with stores.snapshot.session() as session:
        spent = func.coalesce(func.sum(UserSpend.cost_usd, type_=Money), 0, type_=Money).label("spent")
        rows = await session.execute(
            select(User.public_id, User.tier, User.daily_budget_usd, User.updated_at, spent)
            .outerjoin(UserSpend, and_(UserSpend.user_id == User.id, within(UserSpend, today)))
            .where(User.created_at <= request.as_of, User.daily_budget_usd.is_not(None), _in_scope(request))
            .group_by(User.id, User.public_id, User.tier, User.daily_budget_usd, User.updated_at)
            .order_by(User.public_id)
        )
        users = rows.all()
    known = [row for row in users if row.updated_at <= request.as_of]
    gaps = _gap(len(users) - len(known))
    if not known:
        return Section("no user in scope has a known daily budget", status=Status.EMPTY, gaps=gaps)
    spendings = sorted(
        (_spending(row.public_id, row.tier, row.daily_budget_usd, row.spent, today) for row in known),
        key=lambda spending: (-spending.used, spending.user),
    )
    return Section(_header(spendings), tuple(_fact(spending) for spending in spendings[:MOST]), gaps=gaps)


def _in_scope(request: ContextRequest) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if request.scope.user_ids:
        conditions.append(User.id.in_(request.scope.user_ids))
    if request.scope.tiers:
        conditions.append(User.tier.in_(request.scope.tiers))
    return and_(*conditions)


def _gap(changed_later: int) -> tuple[str, ...]:
    if not changed_later:
        return ()
    return (
        f"the budget at this moment of {count(changed_later, 'user')} whose tier or budget changed later",
    )


def _spending(user: str, tier: str, budget: Decimal, spent: Decimal, today: Window) -> Spending:
    return Spending(user, tier, budget, spent, _projected(spent, today.start, today.end))


def _projected(spent: Decimal, start: datetime, end: datetime) -> Decimal | None:
    if end - start < SOON:
        return None
    return spent * Decimal(timedelta(days=1) / (end - start)).quantize(Decimal("0.0001"))


def _header(spendings: list[Spending]) -> str:
    over = sum(spending.used >= 1 for spending in spendings)
    near = sum(NEAR <= spending.used < 1 for spending in spendings)
    will = sum(
        spending.used < 1 and spending.projected is not None and spending.projected > spending.budget
        for spending in spendings
    )
    total = sum((spending.spent for spending in spendings), Decimal(0))
    return (
        f"{count(len(spendings), 'user')} with a daily budget, {dollars(total)} spent since midnight; "
        f"{over} over budget, {near} near it, {will} projected to pass it today"
    )


def _fact(spending: Spending) -> Fact:
    remaining = spending.budget - spending.spent
    left = f"{dollars(remaining)} remaining" if remaining >= 0 else f"OVER by {dollars(-remaining)}"
    text = (
        f"{spending.user} ({spending.tier}): {dollars(spending.spent)} of {dollars(spending.budget)} "
        f"spent today ({100 * spending.used:.0f} %), {left}"
    )
    if spending.projected is not None:
        text += f"; projected {dollars(spending.projected)} by midnight"
    short = f"{spending.user}: {100 * spending.used:.0f} % of the daily budget"
    return Fact(one_line(text), one_line(short), min(1.0, 0.4 + float(min(spending.used, Decimal(1))) * 0.6))


source = ContextSource("budgets", "B", frozenset({Topic.COST}), 2.0, read)
