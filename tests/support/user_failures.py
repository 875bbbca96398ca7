"""Requests and failures by user and bucket: as the rollups have them, and as the log is counted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import select

from models import Request, Resolution, UserSpend
from models.database import Database
from models.request_log import bucket_start

MINUTE = timedelta(minutes=1)
Bucket = tuple[Resolution, datetime, int]
"""Resolution, start and the user's id."""
_FAILED = {"error", "timeout", "rate_limited"}
"""By name, so that a status that drops out of FAILED_STATUSES is noticed."""


async def rolled_up(database: Database) -> dict[Bucket, tuple[int, int]]:
    """Return requests and failed ones of every bucket by user, where the minutes add up to their hour."""
    columns = (UserSpend.bucket_start, UserSpend.user_id, UserSpend.requests, UserSpend.failed)
    found: dict[Bucket, tuple[int, int]] = {}
    async with database.read() as session:
        for hour, user, *sums, minutes in await session.execute(select(*columns, UserSpend.minutes)):
            cells = json.loads(minutes)
            assert [sum(cell[place] for cell in cells) for place in (1, 2)] == sums
            found[Resolution.HOUR, hour, user] = sums[0], sums[1]
            for minute, requests, failed, _ in cells:
                found[Resolution.MINUTE, hour + minute * MINUTE, user] = requests, failed
                slot = Resolution.TEN_MINUTES, hour + (minute - minute % 10) * MINUTE, user
                before = found.get(slot, (0, 0))
                found[slot] = before[0] + requests, before[1] + failed
    return found


async def counted(database: Database) -> dict[Bucket, tuple[int, int]]:
    """Return the same, counted one by one from the log."""
    requests: Counter[Bucket] = Counter()
    failed: Counter[Bucket] = Counter()
    async with database.read() as session:
        found = await session.execute(select(Request.created_at, Request.user_id, Request.status))
        for created_at, user, status in found:
            for resolution in Resolution:
                bucket = resolution, bucket_start(created_at, resolution), user
                requests[bucket] += 1
                failed[bucket] += status in _FAILED
    return {bucket: (number, failed[bucket]) for bucket, number in requests.items()}
