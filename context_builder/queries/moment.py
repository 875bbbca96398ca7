"""The moment that a query is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from context_builder.question.checks import check_moment


@dataclass(frozen=True, slots=True)
class QueryMoment:
    """A moment, the present or a past one."""

    as_of: datetime
    now: datetime
    live: bool
    """Whether `as_of` is the present."""


def resolve_moment(as_of: datetime | None) -> QueryMoment:
    """The moment that a caller gives; None is now. Raises QuestionError for one that cannot be used."""
    now = datetime.now(UTC)
    return QueryMoment(check_moment(as_of, name="as_of", now=now) or now, now, live=as_of is None)
