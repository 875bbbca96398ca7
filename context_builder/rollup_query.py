"""Conditions that read a window from the rollups with as few buckets as possible."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true

from context_builder.request import ContextRequest, Window
from models import RequestRollup, Resolution, User, UserSpend
from models.database import ReadSession
from models.histogram import Histogram

BASELINE = timedelta(days=7)
"""What a window is compared with: the days right before it, so that every weekday and hour is in it."""


def baseline_of(window: Window) -> Window:
    """The span that the window is compared with, in whole hours."""
    end = window.start.replace(minute=0)
    return Window(end - BASELINE, end, origin="baseline")


def within(table: type[RequestRollup | UserSpend], window: Window) -> ColumnElement[bool]:
    """Buckets that together cover the window exactly: whole hours, and minutes at the ragged ends."""
    first_hour = _next_hour(window.start)
    last_hour = window.end.replace(minute=0)
    if first_hour >= last_hour:
        return _buckets(table, Resolution.MINUTE, window.start, window.end)
    return or_(
        _buckets(table, Resolution.HOUR, first_hour, last_hour),
        _buckets(table, Resolution.MINUTE, window.start, first_hour),
        _buckets(table, Resolution.MINUTE, last_hour, window.end),
    )


def _buckets(
    table: type[RequestRollup | UserSpend], resolution: Resolution, start: datetime, end: datetime
) -> ColumnElement[bool]:
    if start >= end:
        return false()
    return and_(table.resolution == resolution, table.bucket_start >= start, table.bucket_start < end)


def _next_hour(moment: datetime) -> datetime:
    whole = moment.replace(minute=0)
    return whole if whole == moment else whole + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class RollupScope:
    """Which rollups a question is about, and what they cannot tell about it."""

    condition: ColumnElement[bool]
    gaps: tuple[str, ...] = ()


async def rollup_scope(session: ReadSession, request: ContextRequest) -> RollupScope:
    """The rollups of the deployments and tiers in scope.

    They know no single users: a named one stands for its tier at `as_of`, beside the tiers that are named.
    """
    scope = request.scope
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.deployment_ids:
        conditions.append(RequestRollup.deployment_id.in_(scope.deployment_ids))
    if not scope.user_ids:
        if scope.tiers:
            conditions.append(RequestRollup.tier.in_(scope.tiers))
        return RollupScope(and_(*conditions))
    rows = await session.execute(
        select(User.public_id, User.tier, User.updated_at).where(User.id.in_(scope.user_ids))
    )
    users = rows.all()
    changed = sorted(user.public_id for user in users if user.updated_at > request.as_of)
    tiers = sorted({*scope.tiers, *(user.tier for user in users if user.public_id not in changed)})
    conditions.append(RequestRollup.tier.in_(tiers))
    gaps = [f"figures of single users; those here are of all users of tier {', '.join(tiers) or 'unknown'}"]
    if changed:
        gaps.append(f"the tier at this moment of {', '.join(changed)}, whose tier or budget changed later")
    return RollupScope(and_(*conditions), tuple(gaps))


def gathered_histograms(session: ReadSession) -> ColumnElement[str]:
    """All latency histograms of a group as one text, to be merged by `merged`.

    One row per group instead of one per bucket: most of the cost of a percentile is fetching rows.
    """
    stored: Any = RequestRollup.latency_histogram
    sqlite = session.get_bind().dialect.name == "sqlite"
    return func.aggregate_strings(func.hex(stored) if sqlite else func.encode(stored, "hex"), "")


def merged(gathered: str) -> Histogram:
    """The sum of the histograms that `gathered_histograms` has put together."""
    return Histogram.merged([bytes.fromhex(gathered)])
