"""The moment that a query is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, true
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.checks import check_moment
from context_builder.question.request import QuestionError


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
    return and_(
        true() if since is None else column >= since,
        true() if until is None else column < until,
    )
