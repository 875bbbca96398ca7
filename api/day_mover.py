"""Moves days of the request log that are old enough into files while a service runs."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from context_builder.background import in_background
from context_builder.text.clock import utc_now
from models.database import Database
from models.errors import DatabaseError
from models.request_log.cold.moving import move_days

log = structlog.get_logger(__name__)

EVERY_S = 3600.0
"""A day becomes old enough once a day; one that could not be moved is tried again."""


def day_mover(database: Database, *, after_days: int) -> AbstractAsyncContextManager[None]:
    """Move days of this age every hour while the context lasts, in one of all processes; none if it is 0."""
    return in_background(_move(database, timedelta(days=after_days))) if after_days else nullcontext()


async def _move(database: Database, age: timedelta) -> None:
    while True:
        try:
            for one in await move_days(database, before=utc_now() - age):
                log.info("day moved", day=f"{one.day:%Y-%m-%d}", requests=one.rows, bytes=one.bytes)
        except (DatabaseError, SQLAlchemyError, OSError) as error:
            log.warning("no day moved", reason=str(error).splitlines()[0])
        await asyncio.sleep(EVERY_S)
