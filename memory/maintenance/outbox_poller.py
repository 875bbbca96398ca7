"""Lets memory follow the database while a service runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from memory.errors import MemoryUnavailable
from memory.maintenance.upkeep import Upkeep
from models.errors import DatabaseError

log = structlog.get_logger(__name__)


@asynccontextmanager
async def following(upkeep: Upkeep, *, every_s: float) -> AsyncIterator[None]:
    """While it lasts, memory takes in what changes, at the latest `every_s` seconds after."""
    task = asyncio.create_task(_follow(upkeep, every_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _follow(upkeep: Upkeep, every_s: float) -> None:
    told = ""
    while True:
        try:
            await upkeep.keep_up()
            told = ""
        except (MemoryUnavailable, DatabaseError, SQLAlchemyError, OSError) as error:
            reason = str(error).splitlines()[0]
            # What lasts is said once: a recall says it again to whom it concerns.
            if reason != told:
                log.warning("memory does not follow the database", reason=reason)
            told = reason
        await asyncio.sleep(every_s)
