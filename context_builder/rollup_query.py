"""Conditions that read a window from the rollups with as few buckets as possible."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, false, or_, select, true

from context_builder.request import Scope, Window
from models import RequestRollup, Resolution, User, UserSpend

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


def rollups_in(scope: Scope) -> ColumnElement[bool]:
    """Rollups of the deployments and tiers in scope; users stand for their tiers, which rollups know."""
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.deployment_ids:
        conditions.append(RequestRollup.deployment_id.in_(scope.deployment_ids))
    if scope.tiers:
        conditions.append(RequestRollup.tier.in_(scope.tiers))
    elif scope.user_ids:
        conditions.append(RequestRollup.tier.in_(select(User.tier).where(User.id.in_(scope.user_ids))))
    return and_(*conditions)


def user_gap(scope: Scope) -> tuple[str, ...]:
    """Says that rollups do not know single users, when the scope holds some."""
    if not scope.user_ids or scope.tiers:
        return ()
    return ("figures are for the whole tier of the named users; single users are not rolled up",)
