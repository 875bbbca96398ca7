"""SQL conditions that read a window from the rollups with as few buckets as possible."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, true

from context_builder.question.request import Window
from context_builder.rollups.span import Span, by_minute, covering
from models import QualityRollup, RequestRollup
from models.database import ReadSession
from models.histogram import Histogram

BASELINE = timedelta(days=7)
"""Length of the baseline right before a window; a week contains every weekday and hour."""


def baseline_window(window: Window) -> Window:
    """Return the baseline of a window, in whole hours."""
    end = window.start.replace(minute=0)
    return Window(end - BASELINE, end, origin="baseline")


def covering_with_baseline(window: Window) -> list[Span]:
    """Return the buckets of a window and of its baseline, which ends before it."""
    return [*covering(baseline_window(window)), *covering(window)]


def in_window(table: type[RequestRollup], window: Window) -> ColumnElement[bool]:
    """Select the buckets that exactly cover the window: whole hours, and minutes at either end."""
    return _buckets(table, covering(window))


def in_window_by_minute(table: type[RequestRollup], window: Window) -> ColumnElement[bool]:
    """Select the minute buckets of the window."""
    return _buckets(table, by_minute(window))


def _buckets(table: type[RequestRollup], spans: Sequence[Span]) -> ColumnElement[bool]:
    parts = [
        and_(
            table.resolution == span.resolution,
            table.bucket_start >= span.start,
            table.bucket_start < span.end,
        )
        for span in spans
    ]
    return or_(*parts) if parts else false()


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
