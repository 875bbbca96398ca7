"""User context: a user's tier, today's remaining budget, and recent usage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import BigInteger, func, select, type_coerce

from context_builder.queries.errors import NotFound
from context_builder.queries.scope import QueryMoment, resolve_moment
from context_builder.question.checks import MAX_USER_CHARACTERS, check_name
from context_builder.question.names.known_names import sample_users, unknown_name_text
from context_builder.question.request import Window
from context_builder.question.times.bounds import floor_to_minute
from context_builder.telemetry.user_spend import spend_in
from context_builder.text.wire import WIRE, Share, Usd
from models import Request, User, UserSpend
from models.database import ReadSession
from models.request_log.cold import log_rows
from models.tables.schema import Money

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class UserUsage:
    """Requests and cost of a user in a time span."""

    since: datetime
    until: datetime
    """Exclusive, a whole minute: at a past moment the minute in progress is not counted."""
    requests: int
    cost_usd: Usd


@dataclass(frozen=True, slots=True)
class UserContext:
    """One user as of a moment."""

    __pydantic_config__ = WIRE

    as_of: datetime
    id: str
    name: str | None
    role: str | None
    tier: str | None
    """None: tier or budget changed after `as_of`, so neither is known."""
    daily_budget_usd: Usd | None
    """None: no limit is set, or unknown as `tier` is."""
    budget_used: Share | None
    """Share of the daily budget that is spent; above 1 is over. None without a budget, or if it is 0."""
    budget_left_usd: Usd | None
    """Negative if overspent."""
    today: UserUsage
    """Since midnight UTC."""
    last_24_hours: UserUsage
    last_7_days: UserUsage
    last_request_at: datetime | None


async def user_context(session: ReadSession, user_id: str, *, as_of: datetime | None = None) -> UserContext:
    """Return a user by public id.

    Raises:
        NotFound: The user did not exist at `as_of`.
        QuestionError: An argument is invalid.
    """
    moment = resolve_moment(as_of)
    check_name(user_id, kind="user", max_characters=MAX_USER_CHARACTERS)
    user = await session.scalar(
        select(User).where(User.public_id == user_id, User.created_at <= moment.as_of)
    )
    if user is None:
        raise NotFound(unknown_name_text("user", user_id, await sample_users(session, moment.as_of)))
    end = floor_to_minute(moment.as_of) + (_MINUTE if moment.live else timedelta(0))
    midnight = moment.as_of.replace(hour=0, minute=0, second=0, microsecond=0)
    today = await _load_usage(session, user, Window(min(midnight, end), end))
    is_known = moment.live or user.updated_at <= moment.as_of
    budget = user.daily_budget_usd if is_known else None
    return UserContext(
        as_of=moment.as_of,
        id=user.public_id,
        name=user.name,
        role=user.role,
        tier=user.tier if is_known else None,
        daily_budget_usd=budget,
        budget_used=today.cost_usd / budget if budget else None,
        budget_left_usd=None if budget is None else budget - today.cost_usd,
        today=today,
        last_24_hours=await _load_usage(session, user, Window(end - timedelta(days=1), end)),
        last_7_days=await _load_usage(session, user, Window(end - timedelta(days=7), end)),
        last_request_at=await _load_last_request(session, user, moment),
    )


async def _load_usage(session: ReadSession, user: User, window: Window) -> UserUsage:
    spent = spend_in(session, window, UserSpend.user_id == user.id)
    row = await session.execute(
        select(
            func.coalesce(func.sum(spent.c.requests, type_=BigInteger), 0),
            type_coerce(func.sum(spent.c.nano), Money),
        )
    )
    requests, cost = row.one()
    return UserUsage(window.start, window.end, int(requests), Decimal(0) if cost is None else cost)


async def _load_last_request(session: ReadSession, user: User, moment: QueryMoment) -> datetime | None:
    statement = select(Request.id, Request.created_at).where(Request.user_id == user.id)
    if not moment.live:
        statement = statement.where(Request.created_at <= moment.as_of)
    newest = statement.order_by(Request.created_at.desc()).limit(1)
    rows = await log_rows(session, newest, newest=1)
    return rows[0].created_at if rows else None
