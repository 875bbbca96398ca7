"""Processes the outbox periodically while a service runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from memory.errors import MemoryUnavailable
from memory.maintenance.index_maintenance import IndexMaintenance
from models.errors import DatabaseError

log = structlog.get_logger(__name__)


@asynccontextmanager
async def outbox_poller(maintenance: IndexMaintenance, *, every_s: float) -> AsyncIterator[None]:
    """Process the outbox every `every_s` seconds while the context lasts."""
    task = asyncio.create_task(_poll(maintenance, every_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _poll(maintenance: IndexMaintenance, every_s: float) -> None:
    logged = ""
    while True:
        try:
            await maintenance.process_outbox()
            logged = ""
        except (MemoryUnavailable, DatabaseError, SQLAlchemyError, OSError) as error:
            reason = str(error).splitlines()[0]
            # A lasting failure is logged once; every recall reports it to its caller.
            if reason != logged:
                log.warning("memory does not follow the database", reason=reason)
            logged = reason
        await asyncio.sleep(every_s)
