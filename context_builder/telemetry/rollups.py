"""SQL conditions that read a window from the rollups with as few buckets as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true

from context_builder.question.request import ContextRequest, Scope, Window
from context_builder.text.formatting import format_list
from models import QualityRollup, RequestRollup, Resolution, User, UserSpend
from models.database import ReadSession
from models.histogram import Histogram

BASELINE = timedelta(days=7)
"""Length of the baseline right before a window; a week contains every weekday and hour."""
MAX_EXCLUDED = 100
MAX_EXCLUDED_SHOWN = 5


def baseline_window(window: Window) -> Window:
    """Return the baseline of a window, in whole hours."""
    end = window.start.replace(minute=0)
    return Window(end - BASELINE, end, origin="baseline")


def in_window(table: type[RequestRollup | UserSpend], window: Window) -> ColumnElement[bool]:
    """Select the buckets that exactly cover the window: whole hours, and minutes at either end."""
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
    """Select the minute buckets of the window."""
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
    """The rollups within a question's scope, and their gaps."""

    condition: ColumnElement[bool]
    gaps: tuple[str, ...] = ()


async def rollup_scope(
    session: ReadSession,
    request: ContextRequest,
    table: type[RequestRollup | QualityRollup] = RequestRollup,
) -> RollupScope:
    """Return the condition for the deployments and tiers in scope.

    Rollups have no users: a user in scope is represented by their tier at `as_of`, and a user left out is
    counted, which is a gap.
    """
    scope = request.scope
    excluded = await _excluded_users(session, scope)
    if not scope.user_ids:
        return RollupScope(traffic_condition(table, scope.deployment_ids, scope.tiers), excluded)
    rows = await session.execute(
        select(User.public_id, User.tier, User.updated_at).where(User.id.in_(scope.user_ids))
    )
    users = rows.all()
    changed = sorted(user.public_id for user in users if user.updated_at > request.as_of)
    tiers = sorted({*scope.tiers, *(user.tier for user in users if user.public_id not in changed)})
    gaps = [f"figures per user; those here cover all users of tier {', '.join(tiers) or 'unknown'}"]
    if changed:
        gaps.append(f"the tier at this moment of {', '.join(changed)}, whose tier or budget changed later")
    condition = and_(traffic_condition(table, scope.deployment_ids, ()), table.tier.in_(tiers))
    return RollupScope(condition, (*gaps, *excluded))


async def _excluded_users(session: ReadSession, scope: Scope) -> tuple[str, ...]:
    """Return the gap that rollups have with users left out."""
    if not scope.excluded_user_ids:
        return ()
    names = await session.scalars(
        select(User.public_id).where(User.id.in_(scope.excluded_user_ids)).limit(MAX_EXCLUDED)
    )
    listed = format_list(sorted(names), MAX_EXCLUDED_SHOWN)
    return (f"figures without {listed}; those here include their requests, as rollups have no users",)


def traffic_condition(
    table: type[RequestRollup | QualityRollup], deployment_ids: Sequence[int], tiers: Sequence[str]
) -> ColumnElement[bool]:
    """Select the buckets of the deployments and tiers; an empty sequence restricts nothing."""
    conditions: list[ColumnElement[bool]] = [true()]
    if deployment_ids:
        conditions.append(table.deployment_id.in_(deployment_ids))
    if tiers:
        conditions.append(table.tier.in_(tiers))
    return and_(*conditions)


def scored_by(as_of: datetime, *, is_now: bool) -> ColumnElement[bool]:
    """Select scores known at `as_of`; those of its current hour only if it is the present."""
    hour = as_of.replace(minute=0, second=0, microsecond=0)
    return QualityRollup.scored_hour <= hour if is_now else QualityRollup.scored_hour < hour


def concatenated_histograms(session: ReadSession) -> ColumnElement[str]:
    """Concatenate a group's latency histograms as hex, for `merge_histograms`.

    One row per group instead of one per bucket, since fetching rows dominates the cost of a percentile.
    """
    stored: Any = RequestRollup.latency_histogram
    sqlite = session.get_bind().dialect.name == "sqlite"
    return func.aggregate_strings(func.hex(stored) if sqlite else func.encode(stored, "hex"), "")


def merge_histograms(concatenated: str) -> Histogram:
    """Return the sum of histograms concatenated by `concatenated_histograms`."""
    return Histogram.merged([bytes.fromhex(concatenated)])
