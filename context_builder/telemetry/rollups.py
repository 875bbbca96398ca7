"""Conditions that read a window from the rollups with as few buckets as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true

from context_builder.question.request import ContextRequest, Window
from models import QualityRollup, RequestRollup, Resolution, User, UserSpend
from models.database import ReadSession
from models.histogram import Histogram

BASELINE = timedelta(days=7)
"""What a window is compared with: the days right before it, so that every weekday and hour is in it."""


def baseline_window(window: Window) -> Window:
    """The span that the window is compared with, in whole hours."""
    end = window.start.replace(minute=0)
    return Window(end - BASELINE, end, origin="baseline")


def in_window(table: type[RequestRollup | UserSpend], window: Window) -> ColumnElement[bool]:
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


def in_window_by_minute(table: type[RequestRollup | UserSpend], window: Window) -> ColumnElement[bool]:
    """The minutes of the window, for figures finer than an hour."""
    return _buckets(table, Resolution.MINUTE, window.start, window.end)


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


async def rollup_scope(
    session: ReadSession,
    request: ContextRequest,
    table: type[RequestRollup | QualityRollup] = RequestRollup,
) -> RollupScope:
    """The rollups of the deployments and tiers in scope.

    They know no single users: a named one stands for its tier at `as_of`, beside the tiers that are named.
    """
    scope = request.scope
    if not scope.user_ids:
        return RollupScope(traffic_condition(table, scope.deployment_ids, scope.tiers))
    rows = await session.execute(
        select(User.public_id, User.tier, User.updated_at).where(User.id.in_(scope.user_ids))
    )
    users = rows.all()
    changed = sorted(user.public_id for user in users if user.updated_at > request.as_of)
    tiers = sorted({*scope.tiers, *(user.tier for user in users if user.public_id not in changed)})
    gaps = [f"figures of single users; those here are of all users of tier {', '.join(tiers) or 'unknown'}"]
    if changed:
        gaps.append(f"the tier at this moment of {', '.join(changed)}, whose tier or budget changed later")
    condition = and_(traffic_condition(table, scope.deployment_ids, ()), table.tier.in_(tiers))
    return RollupScope(condition, tuple(gaps))


def traffic_condition(
    table: type[RequestRollup | QualityRollup], deployment_ids: Sequence[int], tiers: Sequence[str]
) -> ColumnElement[bool]:
    """Buckets of the deployments and tiers; an empty sequence does not restrict anything."""
    conditions: list[ColumnElement[bool]] = [true()]
    if deployment_ids:
        conditions.append(table.deployment_id.in_(deployment_ids))
    if tiers:
        conditions.append(table.tier.in_(tiers))
    return and_(*conditions)


def scored_by(as_of: datetime, *, is_now: bool) -> ColumnElement[bool]:
    """Quality scores known at `as_of`: those of the hour in progress only where that is the present."""
    hour = as_of.replace(minute=0, second=0, microsecond=0)
    return QualityRollup.scored_hour <= hour if is_now else QualityRollup.scored_hour < hour


def concatenated_histograms(session: ReadSession) -> ColumnElement[str]:
    """All latency histograms of a group as one text, to be merged by `merge_histograms`.

    One row per group instead of one per bucket: most of the cost of a percentile is fetching rows.
    """
    stored: Any = RequestRollup.latency_histogram
    sqlite = session.get_bind().dialect.name == "sqlite"
    return func.aggregate_strings(func.hex(stored) if sqlite else func.encode(stored, "hex"), "")


def merge_histograms(gathered: str) -> Histogram:
    """The sum of the histograms that `concatenated_histograms` has put together."""
    return Histogram.merged([bytes.fromhex(gathered)])
