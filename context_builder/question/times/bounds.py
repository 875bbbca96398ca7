"""Bounds of a window, and arithmetic with moments that stays within the range of dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DEFAULT_LENGTH = timedelta(hours=24)

MIN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Earliest start of a window."""

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def floor_to_minute(moment: datetime) -> datetime:
    """Round down to the UTC minute, the resolution of rollups."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def subtract(moment: datetime, span: timedelta) -> datetime:
    """Subtract a duration from a UTC moment, clamped to the range of datetime."""
    try:
        return moment - span
    except OverflowError:
        return _EARLIEST if span > timedelta(0) else _LATEST
