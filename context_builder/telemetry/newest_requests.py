"""Single requests of the log, without a scan: the newest of a window, and those of a condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Subquery, and_, case, func, or_, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.request import ContextRequest
from context_builder.telemetry.user_scope import of_users
from models import FAILED_STATUSES, Deployment, Request, User
from models.database import ReadSession
from models.request_log.cold import log_rows
from models.request_log.cold.reading import DAY, EARLIEST, LATEST

MAX_RANGES = 20
"""Values up to which each gets its own index range."""
_OTHERS = [each for each in Request.__mapper__.column_attrs if each.key not in ("id", "created_at")]
_COLUMNS = [Request.id, Request.created_at, *(getattr(Request, each.key) for each in _OTHERS)]
_NAMES = ["id", "created_at", *(each.key for each in _OTHERS)]


@dataclass(frozen=True, slots=True)
class OwnedRequest:
    """A request with what its ids stand for."""

    request: Request
    """Not of a session: changing it changes nothing."""
    deployment: Deployment
    user: User

    @property
    def tier(self) -> str | None:
        """Return the user's tier at the time of the request; None: tier or budget changed later."""
        return self.user.tier if self.user.updated_at <= self.request.created_at else None


async def load_request(session: AsyncSession, public_id: str) -> OwnedRequest | None:
    """Load a request by its id, the newest if several days have it.

    Cold days are searched only if it is not in the database.

    Raises:
        ColdDayUnreadable: It may be in a file that cannot be read.
    """
    statement = select(*_COLUMNS).where(Request.public_id == public_id).order_by(Request.created_at.desc())
    rows = (await session.execute(statement)).all() or await log_rows(session, statement)
    found = await _with_owners(session, rows)
    return found[0] if found else None


async def load_requests(
    session: AsyncSession,
    condition: ColumnElement[bool],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[OwnedRequest]:
    """Load the requests of a condition, which an index serves, the newest first.

    Raises:
        ColdDayUnreadable: A day of the span is in a file that cannot be read.
    """
    # Whole days: what was found by its bucket of time may be of just before or after.
    near = [] if since is None else [Request.created_at >= max(since, EARLIEST) - DAY]
    near += [] if until is None else [Request.created_at < min(until, LATEST) + DAY]
    found = await log_rows(session, select(*_COLUMNS).where(condition, *near), since=since, until=until)
    return await _with_owners(session, found)


async def _with_owners(session: AsyncSession, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[OwnedRequest]:
    requests = [Request(**dict(zip(_NAMES, row, strict=True))) for row in rows]
    if not requests:
        return []
    among_deployments = Deployment.id.in_({one.deployment_id for one in requests})
    deployments = {one.id: one for one in await session.scalars(select(Deployment).where(among_deployments))}
    among_users = User.id.in_({one.user_id for one in requests})
    users = {one.id: one for one in await session.scalars(select(User).where(among_users))}
    return [OwnedRequest(one, deployments[one.deployment_id], users[one.user_id]) for one in requests]


def newest_failed(request: ContextRequest, most: int) -> Subquery:
    """Select `id`, `created_at` and `latency_ms` of the newest failed requests in scope.

    At most `most` rows per index range; the caller orders and limits them as a whole.
    """
    scope = request.scope
    who: list[ColumnElement[bool]] = []
    if scope.user_ids:
        who.append(Request.user_id.in_(scope.user_ids))
    if scope.tiers:
        who.append(tier_at_request().in_(scope.tiers))
    wanted = and_(or_(*who) if who else true(), of_users(scope, Request.user_id))
    failed = [Request.status == status for status in FAILED_STATUSES]
    ranges = product(failed, one_condition_per_value(Request.deployment_id, scope.deployment_ids))
    return _newest([and_(*one, wanted) for one in ranges], request, most)


def newest_of_users(request: ContextRequest, most: int, *conditions: ColumnElement[bool]) -> Subquery:
    """Select the newest requests of the users and deployments in scope, at most `most` per index range."""
    scope = request.scope
    of_deployment = has_one_of(Request.deployment_id, scope.deployment_ids)
    every = and_(of_users(scope, Request.user_id), *conditions, *of_deployment)
    return _newest(
        [and_(one, every) for one in one_condition_per_value(Request.user_id, scope.user_ids)], request, most
    )


async def newest_rows(
    session: ReadSession, newest: Subquery, request: ContextRequest, most: int, *columns: Any
) -> list[Row[*tuple[Any, ...]]]:
    """Load id, moment and latency of the newest requests among those of a subquery above, or other columns.

    Raises:
        ColdDayUnreadable: A day of the window is in a file that cannot be read.
    """
    window = request.window
    chosen = select(newest).order_by(newest.c.created_at.desc(), newest.c.id.desc()).limit(most)
    if columns:
        found = chosen.subquery()
        same = and_(Request.id == found.c.id, Request.created_at == found.c.created_at)
        chosen = select(found.c.id, found.c.created_at, *columns).join(Request, same)
        chosen = chosen.where(Request.created_at >= window.start, Request.created_at < window.end)
    return await log_rows(session, chosen, since=window.start, until=window.end, newest=most)


async def count_changed_users(session: ReadSession, request: ContextRequest) -> int:
    """Count the users whose tier in the window is unknown; 0 if no tier is in scope."""
    if not request.scope.tiers:
        return 0
    changed = select(func.count()).where(
        User.updated_at > request.window.start,
        User.updated_at > User.created_at,
        User.created_at <= request.as_of,
    )
    return await session.scalar(changed) or 0


def _newest(ranges: Iterable[ColumnElement[bool]], request: ContextRequest, most: int) -> Subquery:
    """Select the newest requests per index range; sorting across ranges would read each completely."""
    newest = select(Request.id, Request.created_at, Request.latency_ms).where(
        Request.created_at >= request.window.start, Request.created_at < request.window.end
    )
    if request.scope.tiers:
        newest = newest.join(User, User.id == Request.user_id)
    parts = [newest.where(one) for one in ranges]
    return newest_of_ranges(parts, most)


def newest_of_ranges(parts: Iterable[Select[*tuple[Any, ...]]], most: int) -> Subquery:
    """Select the newest `most` rows of each part, which reads one index range, with `created_at` and `id`."""
    newest = [part.order_by(Request.created_at.desc(), Request.id.desc()).limit(most) for part in parts]
    return union_all(*(part.subquery().select() for part in newest)).subquery()


def one_condition_per_value(
    column: InstrumentedAttribute[Any], values: Sequence[Any]
) -> list[ColumnElement[bool]]:
    """Return one condition per value, each an index range, or a single one above MAX_RANGES values."""
    if 0 < len(values) <= MAX_RANGES:
        return [column == value for value in values]
    return has_one_of(column, values) or [true()]


def has_one_of(column: InstrumentedAttribute[Any], values: Sequence[Any]) -> list[ColumnElement[bool]]:
    """Return the condition that the column has one of the values; none if there are no values."""
    return [column.in_(values)] if values else []


def tier_at_request() -> ColumnElement[str | None]:
    """Return the user's tier at the time of the request; NULL if tier or budget changed since."""
    return case((User.updated_at <= Request.created_at, User.tier), else_=None)
