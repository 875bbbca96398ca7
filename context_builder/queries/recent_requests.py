"""Recent requests: the newest logged requests that match the filters.

Users, deployments (with models and backends) and statuses have an index each. The first of them that is given
is used; the other filters, always the tier, are checked row by row, newest first. A page scans at most
MAX_ROWS_SCANNED rows: if few of them match, the page is short and its cursor continues the scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product

from sqlalchemy import ColumnElement, Select, Subquery, and_, select, true

from context_builder.queries.page import FIRST_PAGE, Listing, Page, PagePosition, open_listing
from context_builder.queries.scope import span_condition
from context_builder.question.given_scope import resolve_scope
from context_builder.question.names.known_names import require_known
from context_builder.question.request import Scope, ScopeNames
from context_builder.telemetry.newest_requests import (
    MAX_RANGES,
    has_one_of,
    newest_of_ranges,
    one_condition_per_value,
    tier_at_request,
)
from context_builder.text.wire import WIRE, Usd
from models import Deployment, Request, RequestStatus, User
from models.database import ReadSession

MAX_ROWS_SCANNED = 5_000
"""Rows that one page scans if a filter has no index: some ten milliseconds."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One routed request."""

    id: str
    """Public id."""
    created_at: datetime
    user: str
    tier: str | None
    """The user's tier at the time of the request; None: tier or budget changed later."""
    deployment: str
    model: str
    backend: str
    status: str
    error_code: str | None
    latency_ms: int | None
    cost_usd: Usd
    prompt_tokens: int | None
    completion_tokens: int | None
    endpoint: str | None
    task_type: str | None
    router_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilter:
    """Which requests; names are exact, and an empty field matches all."""

    users: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    """Tier of the user at the time of the request; unknown for users who changed later."""
    deployments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    """`success`, `error`, `timeout`, `rate_limited`, `pending`."""
    since: datetime | None = None
    until: datetime | None = None
    """End of the span, exclusive; both are timezone-aware, with microseconds."""


ALL_REQUESTS = RequestFilter()


@dataclass(frozen=True, slots=True)
class RequestPage:
    """A page of requests, newest first."""

    __pydantic_config__ = WIRE

    requests: tuple[LoggedRequest, ...]
    """May be fewer than the limit, even none, while there is a next page."""
    next: str | None
    """Cursor of the next page; None: this is the last."""


@dataclass(frozen=True, slots=True)
class _IndexScan:
    """How the log is scanned: ranges of one index, and conditions checked row by row."""

    ranges: Sequence[ColumnElement[bool]]
    row_filters: Sequence[ColumnElement[bool]] = ()
    """Conditions that the index does not support."""

    @property
    def is_bounded(self) -> bool:
        """True if each range gets a fair part of MAX_ROWS_SCANNED, where that is needed."""
        return not self.row_filters or len(self.ranges) <= MAX_RANGES

    @property
    def most(self) -> int | None:
        """Return the rows to scan per range; None: every scanned row matches."""
        return MAX_ROWS_SCANNED // len(self.ranges) if self.row_filters else None


async def recent_requests(
    session: ReadSession, filters: RequestFilter = ALL_REQUESTS, page: Page = FIRST_PAGE
) -> RequestPage:
    """Return the newest matching requests.

    Raises:
        QuestionError: A filter or the cursor is invalid.
    """
    chosen = open_listing("recent_requests", filters, page)
    now = datetime.now(UTC)
    span = span_condition(Request.created_at, filters.since, filters.until, now=now)
    require_known("status", filters.statuses, list(RequestStatus))
    names = ScopeNames(
        users=filters.users,
        tiers=filters.tiers,
        deployments=filters.deployments,
        models=filters.models,
        backends=filters.backends,
    )
    scan = _choose_scan(
        await resolve_scope(names, session, as_of=now), tuple(dict.fromkeys(filters.statuses))
    )
    scanned = _scanned_rows(scan, chosen, span)
    wanted = (
        select(scanned.c.id, scanned.c.created_at)
        .where(scanned.c.matches)
        .order_by(scanned.c.created_at.desc(), scanned.c.id.desc())
        .limit(chosen.limit + 1)
        .subquery()
    )
    rows = await session.execute(
        select_with_names()
        .join(wanted, wanted.c.id == Request.id)
        .order_by(wanted.c.created_at.desc(), wanted.c.id.desc())
    )
    shown, following = chosen.cut(rows.all(), lambda row: PagePosition(row[0].created_at, row[0].id))
    if following is None and (end := await _scan_end(session, scanned, scan)):
        following = chosen.cursor(end)
    return RequestPage(tuple(logged_request(*row) for row in shown), following)


def _choose_scan(scope: Scope, statuses: Sequence[str]) -> _IndexScan:
    """Return the scan that checks the fewest rows."""
    scans = list(_possible_scans(scope, statuses))
    return next((scan for scan in scans if scan.is_bounded), scans[-1])


def _possible_scans(scope: Scope, statuses: Sequence[str]) -> Iterator[_IndexScan]:
    """Yield one scan per index that supports a filter, the most selective first; last the scan by time."""
    of_user = has_one_of(Request.user_id, scope.user_ids)
    of_deployment = has_one_of(Request.deployment_id, scope.deployment_ids)
    of_status = has_one_of(Request.status, statuses)
    of_tier = [tier_at_request().in_(scope.tiers)] if scope.tiers else []
    if 0 < len(scope.user_ids) <= MAX_RANGES:
        yield _IndexScan(
            one_condition_per_value(Request.user_id, scope.user_ids), [*of_deployment, *of_status, *of_tier]
        )
    if 0 < len(scope.deployment_ids) <= MAX_RANGES:
        # The index has the status between the deployment and the time.
        every_status = [Request.status == status for status in statuses or list(RequestStatus)]
        ranges = product(one_condition_per_value(Request.deployment_id, scope.deployment_ids), every_status)
        yield _IndexScan([and_(*one) for one in ranges], [*of_user, *of_tier])
    if statuses:
        yield _IndexScan(
            one_condition_per_value(Request.status, statuses), [*of_user, *of_deployment, *of_tier]
        )
    yield _IndexScan([true()], [*of_user, *of_deployment, *of_status, *of_tier])


def _scanned_rows(scan: _IndexScan, chosen: Listing, span: ColumnElement[bool]) -> Subquery:
    """Select the scanned rows, with whether they match."""
    most = scan.most or chosen.limit + 1
    below = chosen.below(Request.created_at, Request.id)
    columns = (Request.id, Request.created_at, and_(true(), *scan.row_filters).label("matches"))
    parts = [select(*columns).where(one, span, below) for one in scan.ranges]
    if scan.row_filters:
        parts = [part.join(User, User.id == Request.user_id) for part in parts]
    newest = newest_of_ranges(parts, most)
    return select(newest).order_by(newest.c.created_at.desc(), newest.c.id.desc()).limit(most).subquery()


async def _scan_end(session: ReadSession, scanned: Subquery, scan: _IndexScan) -> PagePosition | None:
    """Return where the scan stopped early; None: it reached the end of the log."""
    if scan.most is None:
        return None
    last = await session.execute(
        select(scanned.c.created_at, scanned.c.id)
        .order_by(scanned.c.created_at.desc(), scanned.c.id.desc())
        .offset(scan.most - 1)
        .limit(1)
    )
    row = last.one_or_none()
    return None if row is None else PagePosition(row[0], row[1])


def select_with_names() -> Select[Request, Deployment, str, str | None]:
    """Select requests with their deployment and the user's public id and tier."""
    return (
        select(Request, Deployment, User.public_id, tier_at_request())
        .join(Deployment, Deployment.id == Request.deployment_id)
        .join(User, User.id == Request.user_id)
    )


def logged_request(request: Request, deployment: Deployment, user: str, tier: str | None) -> LoggedRequest:
    """Build a logged request from a row of `select_with_names`."""
    return LoggedRequest(
        id=request.public_id,
        created_at=request.created_at,
        user=user,
        tier=tier,
        deployment=deployment.public_id,
        model=deployment.model,
        backend=deployment.backend,
        status=request.status,
        error_code=request.error_code,
        latency_ms=request.latency_ms,
        cost_usd=request.cost_usd,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=request.completion_tokens,
        endpoint=request.endpoint,
        task_type=request.task_type,
        router_version=request.router_version,
    )
