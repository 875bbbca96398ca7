"""Moves days of the request log that are old enough into files while a service runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from context_builder.text.clock import utc_now
from models.database import Database
from models.errors import DatabaseError
from models.request_log.cold.moving import move_days

log = structlog.get_logger(__name__)

EVERY_S = 3600.0
"""A day becomes old enough once a day; one that could not be moved is tried again."""


@asynccontextmanager
async def day_mover(database: Database, *, after_days: int) -> AsyncIterator[None]:
    """Move days of this age every hour while the context lasts, in one of all processes; none if it is 0."""
    if not after_days:
        yield
        return
    task = asyncio.create_task(_move(database, timedelta(days=after_days)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _move(database: Database, age: timedelta) -> None:
    while True:
        try:
            for one in await move_days(database, before=utc_now() - age):
                log.info("day moved", day=f"{one.day:%Y-%m-%d}", requests=one.rows, bytes=one.bytes)
        except (DatabaseError, SQLAlchemyError, OSError) as error:
            log.warning("no day moved", reason=str(error).splitlines()[0])
        await asyncio.sleep(EVERY_S)
