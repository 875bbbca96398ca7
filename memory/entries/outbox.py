"""What memory has yet to take in, as the triggers of the database have queued it."""

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
class Queued:
    """Some rows of the outbox and what they are about, each once and in the order of the rows."""

    rows: tuple[int, ...]
    subjects: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is waiting."""

    rows: int
    since: datetime | None
    """When the oldest of it was queued; None: nothing waits."""


class Outbox:
    """The outbox of one database. A row is settled only once what it asks for is done, so none is lost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def incidents(self, limit: int) -> Queued:
        """The oldest incidents whose entries may be out of date, by id."""
        return await self._queued(MemoryOutbox.incident_id, limit)

    async def keys(self, limit: int) -> Queued:
        """The oldest keys whose rows of the index may be out of date."""
        return await self._queued(MemoryOutbox.content_hash, limit)

    async def incident_rows(self) -> tuple[int, ...]:
        """All rows about incidents, for one who is about to compare every incident."""
        return (await self._queued(MemoryOutbox.incident_id, None)).rows

    async def key_rows(self) -> tuple[int, ...]:
        """All rows about keys, for one who is about to compare every row of the index."""
        return (await self._queued(MemoryOutbox.content_hash, None)).rows

    async def settle(self, rows: Sequence[int]) -> None:
        """Removes rows that are done with."""
        for start in range(0, len(rows), _ROWS_PER_DELETE):
            async with self._database.write() as session:
                await session.execute(
                    delete(MemoryOutbox).where(MemoryOutbox.id.in_(rows[start : start + _ROWS_PER_DELETE]))
                )

    async def _queued(self, column: InstrumentedAttribute[Any], limit: int | None) -> Queued:
        statement = (
            select(MemoryOutbox.id, column).where(column.is_not(None)).order_by(MemoryOutbox.id).limit(limit)
        )
        async with self._database.read() as session:
            found = (await session.execute(statement)).all()
        return Queued(tuple(row[0] for row in found), tuple(dict.fromkeys(row[1] for row in found)))


async def backlog(session: ReadSession) -> Backlog:
    """How much the outbox holds."""
    statement = select(func.count(), func.min(MemoryOutbox.queued_at)).select_from(MemoryOutbox)
    count, since = (await session.execute(statement)).one()
    return Backlog(count, since)
