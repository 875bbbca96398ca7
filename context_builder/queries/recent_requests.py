"""Recent requests: the newest of the log that the filters choose.

Users, deployments (with models and backends) and statuses have an index each. The first of them that is given
is used; the other filters are looked at row by row while walking from the newest request to older ones. The
tier has no index. A page walks at most WALK rows: where few of them match it is short, and a cursor goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product

from sqlalchemy import ColumnElement, Subquery, and_, select, true

from context_builder.queries.logged_request import LoggedRequest, logged_request, with_names
from context_builder.queries.page import FIRST_PAGE, Listing, Page, Position, listing
from context_builder.question.checks import check_moment
from context_builder.question.given_scope import resolve_scope
from context_builder.question.known_names import require_known
from context_builder.question.request import QuestionError, Scope, ScopeNames
from context_builder.telemetry.newest_requests import MAX_RANGES, among, each, newest_of, tier_then
from context_builder.text.wire import WIRE
from models import Request, RequestStatus, User
from models.database import ReadSession

WALK = 5_000
"""Rows that one page looks at where a filter has no index: some ten milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilter:
    """Which requests; names are exact, and an empty field does not restrict anything."""

    users: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    """Tier of the user when the request was made; it is not known of users who changed later."""
    deployments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    """`success`, `error`, `timeout`, `rate_limited`, `pending`."""
    since: datetime | None = None
    until: datetime | None = None
    """End of the time span, which does not belong to it; both are aware, exact to the microsecond."""


ALL_REQUESTS = RequestFilter()


@dataclass(frozen=True, slots=True)
class RequestPage:
    """A page of requests, the newest first."""

    __pydantic_config__ = WIRE

    requests: tuple[LoggedRequest, ...]
    """May be fewer than the limit, none even, while there is a next page."""
    next: str | None
    """Cursor of the page that follows; None: this is the last."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """How the log is walked: ranges of one index, and what is looked at on the way."""

    ranges: Sequence[ColumnElement[bool]]
    along: Sequence[ColumnElement[bool]] = ()
    """Conditions that the index does not serve."""

    @property
    def is_bounded(self) -> bool:
        """Whether its ranges are few enough for each to get a fair part of WALK, where that is needed."""
        return not self.along or len(self.ranges) <= MAX_RANGES

    @property
    def most(self) -> int | None:
        """Rows to look at; None: all that are looked at match."""
        return WALK // len(self.ranges) if self.along else None


async def recent_requests(
    session: ReadSession, filters: RequestFilter = ALL_REQUESTS, page: Page = FIRST_PAGE
) -> RequestPage:
    """The newest requests. Raises QuestionError for filters and cursors that cannot be used."""
    chosen = listing("recent_requests", filters, page)
    now = datetime.now(UTC)
    span = _span(filters, now)
    require_known("status", filters.statuses, list(RequestStatus))
    names = ScopeNames(
        users=filters.users,
        tiers=filters.tiers,
        deployments=filters.deployments,
        models=filters.models,
        backends=filters.backends,
    )
    walk = _walk(await resolve_scope(names, session, as_of=now), tuple(dict.fromkeys(filters.statuses)))
    walked = _walked(walk, chosen, span)
    wanted = (
        select(walked.c.id, walked.c.created_at)
        .where(walked.c.matches)
        .order_by(walked.c.created_at.desc(), walked.c.id.desc())
        .limit(chosen.limit + 1)
        .subquery()
    )
    rows = await session.execute(
        with_names()
        .join(wanted, wanted.c.id == Request.id)
        .order_by(wanted.c.created_at.desc(), wanted.c.id.desc())
    )
    shown, following = chosen.cut(rows.all(), lambda row: Position(row[0].created_at, row[0].id))
    if following is None and (end := await _end(session, walked, walk)):
        following = chosen.cursor(end)
    return RequestPage(tuple(logged_request(*row) for row in shown), following)


def _span(filters: RequestFilter, now: datetime) -> ColumnElement[bool]:
    since = check_moment(filters.since, name="since", now=now)
    until = check_moment(filters.until, name="until", now=now)
    if since and until and since >= until:
        raise QuestionError(
            f"the time span from {since.isoformat()} to {until.isoformat()} is empty; "
            "since must be before until"
        )
    return and_(
        true() if since is None else Request.created_at >= since,
        true() if until is None else Request.created_at < until,
    )


def _walk(scope: Scope, statuses: Sequence[str]) -> _Walk:
    """The index that leaves the fewest rows to look at."""
    walks = list(_walks(scope, statuses))
    return next((walk for walk in walks if walk.is_bounded), walks[-1])


def _walks(scope: Scope, statuses: Sequence[str]) -> Iterator[_Walk]:
    """One walk per index that serves a filter, the most telling one first; last that of the moment alone."""
    of_user = among(Request.user_id, scope.user_ids)
    of_deployment = among(Request.deployment_id, scope.deployment_ids)
    of_status = among(Request.status, statuses)
    of_tier = [tier_then().in_(scope.tiers)] if scope.tiers else []
    if 0 < len(scope.user_ids) <= MAX_RANGES:
        yield _Walk(each(Request.user_id, scope.user_ids), [*of_deployment, *of_status, *of_tier])
    if 0 < len(scope.deployment_ids) <= MAX_RANGES:
        # The index has the status between the deployment and the moment.
        every_status = [Request.status == status for status in statuses or list(RequestStatus)]
        ranges = product(each(Request.deployment_id, scope.deployment_ids), every_status)
        yield _Walk([and_(*one) for one in ranges], [*of_user, *of_tier])
    if statuses:
        yield _Walk(each(Request.status, statuses), [*of_user, *of_deployment, *of_tier])
    yield _Walk([true()], [*of_user, *of_deployment, *of_status, *of_tier])


def _walked(walk: _Walk, chosen: Listing, span: ColumnElement[bool]) -> Subquery:
    """The rows that are looked at, with whether they match."""
    most = walk.most or chosen.limit + 1
    below = chosen.below(Request.created_at, Request.id)
    columns = (Request.id, Request.created_at, and_(true(), *walk.along).label("matches"))
    parts = [select(*columns).where(one, span, below) for one in walk.ranges]
    if walk.along:
        parts = [part.join(User, User.id == Request.user_id) for part in parts]
    newest = newest_of(parts, most)
    return select(newest).order_by(newest.c.created_at.desc(), newest.c.id.desc()).limit(most).subquery()


async def _end(session: ReadSession, walked: Subquery, walk: _Walk) -> Position | None:
    """Where the walk ended before the log did; None: it saw all there is."""
    if walk.most is None:
        return None
    last = await session.execute(
        select(walked.c.created_at, walked.c.id)
        .order_by(walked.c.created_at.desc(), walked.c.id.desc())
        .offset(walk.most - 1)
        .limit(1)
    )
    row = last.one_or_none()
    return None if row is None else Position(row[0], row[1])
