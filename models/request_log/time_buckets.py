"""The buckets of time that requests are counted in. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from models.tables.gateway.rollups import Resolution

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WIDTHS = {resolution: resolution.width // timedelta(minutes=1) for resolution in Resolution}
"""Minutes of a bucket."""


def bucket_start(moment: datetime, resolution: Resolution) -> datetime:
    """Return the start of the UTC bucket that contains a moment."""
    utc = moment.astimezone(UTC)
    return utc.replace(minute=utc.minute - utc.minute % WIDTHS[resolution], second=0, microsecond=0)


def minute_of(moment: datetime) -> int:
    """Return the whole minutes from 1970 to a moment."""
    return int(moment.timestamp() // 60)


@lru_cache(maxsize=4096)
def start_of(minute: int) -> datetime:
    """Return the moment so many minutes after 1970."""
    return EPOCH + timedelta(minutes=minute)
