"""Requests and failures by user and bucket: as the rollups have them, and as the log is counted."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import select

from models import Request, Resolution, UserSpend
from models.database import Database
from models.request_log import bucket_start

Bucket = tuple[Resolution, datetime, int]
"""Resolution, start and the user's id."""
_FAILED = {"error", "timeout", "rate_limited"}
"""By name, so that a status that drops out of FAILED_STATUSES is noticed."""


async def rolled_up(database: Database) -> dict[Bucket, tuple[int, int]]:
    """Return requests and failed ones of every bucket by user."""
    columns = (UserSpend.resolution, UserSpend.bucket_start, UserSpend.user_id)
    async with database.read() as session:
        found = await session.execute(select(*columns, UserSpend.requests, UserSpend.failed))
        return {
            (Resolution(resolution), start, user): (requests, failed)
            for resolution, start, user, requests, failed in found
        }


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
