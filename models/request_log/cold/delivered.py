"""Requests of cold days that are sent again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from models.request_log.cold.reading import DAY, cold_part
from models.request_log.rows import NewRequest
from models.request_log.time_buckets import EPOCH


async def without_cold(session: AsyncSession, requests: Sequence[NewRequest]) -> Sequence[NewRequest]:
    """Return the requests that are not in a file of their day.

    What is sent again has the id and the moment that it had. The day is locked, so no file appears meanwhile.

    Raises:
        ColdDayUnreadable: The file of a day cannot be read, so whether it holds them is unknown.
    """
    days = [(request.created_at - EPOCH) // DAY for request in requests]
    cold = await cold_part(session, EPOCH + min(days) * DAY, EPOCH + (max(days) + 1) * DAY)
    if cold is None:
        return requests
    starts = {(each.day - EPOCH) // DAY for each in cold.days}
    old = [request.public_id for day, request in zip(days, requests, strict=True) if day in starts]
    known = await cold.known_ids(old) if old else set()
    return [each for day, each in zip(days, requests, strict=True) if (each.public_id, day) not in known]
