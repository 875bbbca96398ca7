"""Recent requests: the newest logged requests that match the filters.

Users, deployments (with models and backends) and statuses have an index each. The first of them that is given
is used; the other filters, always the tier, are checked row by row, newest first. A page scans at most
MAX_ROWS_SCANNED rows: if few of them match, the page is short and its cursor continues the scan.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select, true

from context_builder.queries.page import FIRST_PAGE, MICROSECOND, Listing, Page, PagePosition, open_listing
from context_builder.queries.scope import span_condition
from context_builder.question.given_scope import resolve_scope
from context_builder.question.names.known_names import require_known
from context_builder.question.request import Scope, ScopeNames
from context_builder.telemetry.newest_requests import (
    MAX_RANGES,
    OwnedRequest,
    has_one_of,
    load_requests,
    newest_of_ranges,
    one_condition_per_value,
    tier_at_request,
)
from context_builder.text.wire import WIRE, Usd
from models import Request, RequestStatus, User
from models.database import ReadSession
from models.request_log.cold import cold_part

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


_Positions = tuple[list[PagePosition], PagePosition | None]
_Statement = Select[datetime, int]


@dataclass(frozen=True, slots=True)
class _PageRows:
    """Selects the positions of a page in the log."""

    limit: int
    wanted: _Statement
    """Matching rows, at most one more than the limit."""
    last: _Statement | None
    """The last row that is scanned, if that is before the end of the log; None: every scanned row matches."""

    async def of(self, execute: Callable[[_Statement], Awaitable[Iterable[Any]]]) -> _Positions:
        """Return the positions, and where the scan stopped early; None: it did not."""
        found = [PagePosition(*row) for row in await execute(self.wanted)]
        if len(found) > self.limit or self.last is None:
            return found, None
        return found, next((PagePosition(*row) for row in await execute(self.last)), None)


async def recent_requests(
    session: ReadSession, filters: RequestFilter = ALL_REQUESTS, page: Page = FIRST_PAGE
) -> RequestPage:
    """Return the newest matching requests.

    Raises:
        QuestionError: A filter or the cursor is invalid.
        ColdDayUnreadable: A day of the page is in a file that cannot be read.
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
    scope = await resolve_scope(names, session, as_of=now)
    scan = _choose_scan(scope, tuple(dict.fromkeys(filters.statuses)))
    span_end = min((each for each in (filters.until, chosen.before) if each), default=None)
    found, end = await _positions(session, _page_rows(scan, chosen, span, scope), filters.since, span_end)
    shown, following = chosen.cut(found, lambda position: position)
    if following is None and end is not None:
        following = chosen.cursor(end)
    loaded = {
        each.request.id: each
        for each in await load_requests(
            session,
            Request.id.in_([position.id for position in shown]),
            since=shown[-1].moment if shown else now,
            until=shown[0].moment + MICROSECOND if shown else now,
        )
    }
    return RequestPage(tuple(logged_request(loaded[position.id]) for position in shown), following)


async def _positions(
    session: ReadSession, page: _PageRows, since: datetime | None, until: datetime | None
) -> _Positions:
    """Return the rows of a page and one more, and where the scan stopped early, with those of cold days."""
    found, end = await page.of(session.execute)
    bound = found[page.limit] if len(found) > page.limit else end
    reached = max((each for each in (since, bound and bound.moment) if each), default=None)
    cold = await cold_part(session, reached, until)
    if cold is None:
        return found, end
    further, cold_end = await page.of(cold.execute)
    # Before the end of either scan not all rows are known; while a day is being moved, a row may be in both.
    floor = max((each for each in (end, cold_end) if each), default=None)
    merged = sorted({*found, *further}, reverse=True)
    return [each for each in merged if floor is None or each >= floor], floor


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


def _page_rows(scan: _IndexScan, chosen: Listing, span: ColumnElement[bool], scope: Scope) -> _PageRows:
    most = scan.most or chosen.limit + 1
    below = chosen.below(Request.created_at, Request.id)
    columns = (Request.id, Request.created_at, and_(true(), *scan.row_filters).label("matches"))
    parts = [select(*columns).where(one, span, below) for one in scan.ranges]
    if scope.tiers:
        parts = [part.join(User, User.id == Request.user_id) for part in parts]
    newest = newest_of_ranges(parts, most)
    order = newest.c.created_at.desc(), newest.c.id.desc()
    scanned = select(newest).order_by(*order).limit(most).subquery()
    ordered = select(scanned.c.created_at, scanned.c.id).order_by(
        scanned.c.created_at.desc(), scanned.c.id.desc()
    )
    wanted = ordered.where(scanned.c.matches).limit(chosen.limit + 1)
    last = None if scan.most is None else ordered.offset(most - 1).limit(1)
    return _PageRows(chosen.limit, wanted, last)


def logged_request(found: OwnedRequest) -> LoggedRequest:
    """Return a loaded request as it is shown."""
    request, deployment = found.request, found.deployment
    return LoggedRequest(
        id=request.public_id,
        created_at=request.created_at,
        user=found.user.public_id,
        tier=found.tier,
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
