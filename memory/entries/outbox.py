"""Changes that memory has not processed yet, queued by triggers of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import InstrumentedAttribute

from models import MemoryOutbox
from models.database import Database, ReadSession

_ROWS_PER_DELETE = 5_000


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """Some rows of the outbox and their subjects."""

    rows: tuple[int, ...]
    """Their ids."""
    subjects: tuple[Any, ...]
    """Incident ids or keys, each once, in the order of the rows."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The size of the outbox."""

    rows: int
    since: datetime | None
    """When the oldest row was queued; None if the outbox is empty."""


class Outbox:
    """The outbox of one database. A row is acknowledged only after its work is done, so none is lost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def incidents(self, limit: int | None = None) -> PendingBatch:
        """Return the oldest rows whose incidents, by id, may have outdated entries."""
        return await self._pending(MemoryOutbox.incident_id, limit)

    async def keys(self, limit: int | None = None) -> PendingBatch:
        """Return the oldest rows whose keys may have outdated rows in the index."""
        return await self._pending(MemoryOutbox.content_hash, limit)

    async def acknowledge(self, rows: Sequence[int]) -> None:
        """Remove rows whose work is done."""
        for start in range(0, len(rows), _ROWS_PER_DELETE):
            async with self._database.write() as session:
                await session.execute(
                    delete(MemoryOutbox).where(MemoryOutbox.id.in_(rows[start : start + _ROWS_PER_DELETE]))
                )

    async def _pending(self, column: InstrumentedAttribute[Any], limit: int | None) -> PendingBatch:
        statement = (
            select(MemoryOutbox.id, column).where(column.is_not(None)).order_by(MemoryOutbox.id).limit(limit)
        )
        async with self._database.read() as session:
            found = (await session.execute(statement)).all()
        return PendingBatch(tuple(row[0] for row in found), tuple(dict.fromkeys(row[1] for row in found)))


async def backlog(session: ReadSession) -> Backlog:
    """Return the size of the outbox."""
    statement = select(func.count(), func.min(MemoryOutbox.queued_at)).select_from(MemoryOutbox)
    count, since = (await session.execute(statement)).one()
    return Backlog(count, since)
