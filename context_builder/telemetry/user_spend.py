"""What users sent and spent in a window: whole hours, and of the hours at its ends the minutes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Subquery,
    cast,
    func,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy import type_coerce as as_type
from sqlalchemy.ext.asyncio import AsyncSession

from context_builder.question.request import Window
from context_builder.rollups.span import Span, covering
from models import Resolution, UserSpend

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_HOURLY = UserSpend.resolution == Resolution.HOUR


def spend_in(session: AsyncSession, window: Window, *conditions: ColumnElement[bool]) -> Subquery:
    """Return `user_id`, `bucket_start`, `requests` and `nano` (nano-dollars) that add up to a window.

    `conditions` are on the columns of UserSpend.
    """
    hour = (UserSpend.user_id, UserSpend.bucket_start)
    nano = as_type(UserSpend.cost_usd, BigInteger)
    # A window of no length has none.
    parts = [select(*hour, UserSpend.requests, nano.label("nano")).where(_HOURLY, literal_column("1 = 0"))]
    for span in covering(window):
        if span.resolution is Resolution.HOUR:
            within = UserSpend.bucket_start >= span.start, UserSpend.bucket_start < span.end
            parts.append(select(*hour, UserSpend.requests, nano).where(_HOURLY, *within, *conditions))
            continue
        for start, first, end in _minutes_by_hour(span):
            stored = cast(UserSpend.minutes, JSON) if _is_postgresql(session) else UserSpend.minutes
            function = func.json_array_elements if _is_postgresql(session) else func.json_each
            cell = function(stored).table_valued("value")
            minute, requests, _, cost = (_number(cell.c.value, place) for place in range(4))
            parts.append(
                select(*hour, requests, cost)
                .join(cell, true())
                .where(_HOURLY, UserSpend.bucket_start == start, minute >= first, minute < end, *conditions)
            )
    return union_all(*parts).subquery()


def _minutes_by_hour(span: Span) -> Iterator[tuple[object, int, int]]:
    """Yield each hour of a span of minutes: its start, the first minute in it and the one after the last."""
    start = span.start.replace(minute=0)
    while start < span.end:
        first = max(0, (span.start - start) // _MINUTE)
        yield start, first, min(60, (span.end - start) // _MINUTE)
        start += _HOUR


def _number(cell: ColumnElement[object], place: int) -> ColumnElement[int]:
    return cast(cell.op("->>")(literal_column(str(place))), BigInteger)


def _is_postgresql(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"
