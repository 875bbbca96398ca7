"""The moment, the window and the traffic that a query covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, true
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.checks import check_moment, explicit_window
from context_builder.question.given_scope import resolve_scope
from context_builder.question.request import QuestionError, Scope, ScopeNames, Window
from context_builder.question.times.bounds import DEFAULT_LENGTH
from context_builder.telemetry.rollups import traffic_condition
from models import QualityRollup, RequestRollup
from models.database import ReadSession


@dataclass(frozen=True, slots=True)
class QueryMoment:
    """The present or a past moment."""

    as_of: datetime
    now: datetime
    live: bool
    """True if `as_of` is the present."""


def resolve_moment(as_of: datetime | None) -> QueryMoment:
    """Return the moment that a caller gives; None is now.

    Raises:
        QuestionError: `as_of` has no time zone or is out of range.
    """
    now = datetime.now(UTC)
    return QueryMoment(check_moment(as_of, name="as_of", now=now) or now, now, live=as_of is None)


def span_condition(
    column: InstrumentedAttribute[datetime], since: datetime | None, until: datetime | None, *, now: datetime
) -> ColumnElement[bool]:
    """Return the condition for rows in [since, until); None: no bound on that side.

    Raises:
        QuestionError: A bound has no time zone or is out of range, or the span is empty.
    """
    since = check_moment(since, name="since", now=now)
    until = check_moment(until, name="until", now=now)
    if since and until and since >= until:
        raise QuestionError(
            f"the time span from {since.isoformat()} to {until.isoformat()} is empty; "
            "since must be before until"
        )
    return and_(true() if since is None else column >= since, true() if until is None else column < until)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFilter:
    """Which traffic; names are exact, and an empty field matches all."""

    deployments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    since: datetime | None = None
    """Start of the window, timezone-aware, rounded down to the minute."""
    until: datetime | None = None
    """End of the window, exclusive; None: `as_of`."""
    as_of: datetime | None = None
    """Later traffic is not counted; None: now."""


ALL_TRAFFIC = TrafficFilter()


@dataclass(frozen=True, slots=True)
class TrafficScope:
    """A filter with its names and times resolved."""

    moment: QueryMoment
    window: Window
    scope: Scope

    def condition(self, table: type[RequestRollup | QualityRollup]) -> ColumnElement[bool]:
        """Return the condition for rollups of the deployments and tiers, at any time."""
        return traffic_condition(table, self.scope.deployment_ids, self.scope.tiers)


async def resolve_traffic(
    session: ReadSession, filters: TrafficFilter, *, length: timedelta = DEFAULT_LENGTH
) -> TrafficScope:
    """Resolve a filter; without `since` the window has `length`.

    Raises:
        QuestionError: A name or a time is invalid.
    """
    moment = resolve_moment(filters.as_of)
    window = explicit_window(filters.since, filters.until, as_of=moment.as_of, now=moment.now, length=length)
    names = ScopeNames(
        deployments=filters.deployments, models=filters.models, backends=filters.backends, tiers=filters.tiers
    )
    return TrafficScope(moment, window, await resolve_scope(names, session, as_of=moment.as_of))
