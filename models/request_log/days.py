"""Days of the log that a writer adds to, which nobody counts again at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import text

from models.database import WriteSession
from models.request_log.time_buckets import EPOCH

DAY = timedelta(days=1)
_LOCK_CLASS = 0x10A
"""First half of the keys of our advisory locks, so that they are nobody else's."""


async def share_days(session: WriteSession, moments: Iterable[datetime]) -> None:
    """Wait until nobody counts the days of these moments again; nobody begins before the transaction ends."""
    days = sorted({(moment - EPOCH) // DAY for moment in moments})
    await _lock(session, "pg_advisory_xact_lock_shared", days)


async def lock_day(session: WriteSession, day: datetime) -> None:
    """Wait until nobody writes to a day; nobody does before the transaction ends."""
    await _lock(session, "pg_advisory_xact_lock", [(day - EPOCH) // DAY])


async def _lock(session: WriteSession, function: str, days: list[int]) -> None:
    if session.get_bind().dialect.name == "sqlite":
        return  # its one writer is alone
    for day in days:
        await session.execute(text(f"SELECT {function}(:class, :day)"), {"class": _LOCK_CLASS, "day": day})
