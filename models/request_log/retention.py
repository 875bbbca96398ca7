"""Days of the request log that are removed for good; rollups and scores stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, func, select

from models.database import Database
from models.request_log.cold.moving import alone, days_before
from models.request_log.days import DAY
from models.request_log.partitions import drop_partition
from models.tables.gateway.cold_days import ColdDay
from models.tables.gateway.requests import Request

_ROWS_AT_ONCE = 5_000
"""Requests that are deleted in one transaction, which holds up other writers of SQLite for so long."""


async def drop_days(
    database: Database, *, before: datetime, progress: Callable[[int, int], None] | None = None
) -> list[datetime]:
    """Remove all days that end by a moment, also cold ones; return them. Killed, the next run goes on.

    Of cold days in a bucket, the files stay. The request with the highest id stays, so that no later one is
    taken for it.

    Raises:
        DatabaseError: Another process moves or removes days, or none can be removed.
    """
    async with alone(database):
        async with database.read() as session:
            highest = select(func.max(ColdDay.last_id)).scalar_subquery()
            old = ColdDay.day <= before - DAY, ColdDay.last_id < highest
            cold = (await session.scalars(select(ColdDay).where(*old))).all()
            days = sorted({*await days_before(session, before), *(one.day for one in cold)})
        for done, day in enumerate(days, start=1):
            for one in cold:
                if one.day == day:
                    await _drop_file(database, one)
            if not await drop_partition(database, day):
                await delete_day(database, day)
            if progress:
                progress(done, len(days))
        return days


async def _drop_file(database: Database, one: ColdDay) -> None:
    async with database.write() as session:
        await session.execute(delete(ColdDay).where(ColdDay.path == one.path))
    # A reader that began before names it as missing; what is left over after a kill is named by no row.
    if database.cold_files is not None and database.cold_files.is_folder:
        path = database.cold_files.folder / one.path
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def delete_day(database: Database, day: datetime) -> None:
    """Delete the requests of a day row by row, but for the newest of all."""
    within = Request.created_at >= day, Request.created_at < day + DAY
    highest = select(func.max(Request.id)).scalar_subquery()
    some = select(Request.id).where(*within, Request.id < highest).limit(_ROWS_AT_ONCE)
    deleted = 1
    while deleted:
        async with database.write() as session:
            ids = (await session.scalars(some)).all()
            await session.execute(delete(Request).where(*within, Request.id.in_(ids)))
            deleted = len(ids)
