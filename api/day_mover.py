"""Moves days of the request log into files, and removes them for good, while a service runs."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.settings import Settings
from context_builder.background import in_background
from context_builder.text.clock import utc_now
from models.database import Database
from models.errors import DatabaseError
from models.request_log.cold.moving import move_days
from models.request_log.retention import drop_days

log = structlog.get_logger(__name__)

EVERY_S = 3600.0
"""A day becomes old enough once a day; one that could not be moved is tried again."""


def day_mover(database: Database, settings: Settings) -> AbstractAsyncContextManager[None]:
    """Move and remove old days every hour while the context lasts, in one of all processes."""
    wanted = settings.cold_after_d or settings.keep_d
    return in_background(_move(database, settings)) if wanted and not settings.read_only else nullcontext()


async def _move(database: Database, settings: Settings) -> None:
    while True:
        try:
            if settings.keep_d:
                for day in await drop_days(database, before=utc_now() - timedelta(days=settings.keep_d)):
                    log.info("day removed", day=f"{day:%Y-%m-%d}")
            if settings.cold_after_d:
                for one in await move_days(
                    database, before=utc_now() - timedelta(days=settings.cold_after_d)
                ):
                    log.info("day moved", day=f"{one.day:%Y-%m-%d}", requests=one.rows, bytes=one.bytes)
        except (DatabaseError, SQLAlchemyError, OSError) as error:
            log.warning("days not moved or removed", reason=str(error).splitlines()[0])
        await asyncio.sleep(EVERY_S)
