"""Entries of actions that have no transaction of their own: they wait briefly and are written together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice

import structlog
from sqlalchemy.exc import SQLAlchemyError

from models import AuditOutcome
from models.audit_chain import Act, AuditRecord
from models.database import Database
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

WRITE_EVERY_S = 0.5
"""A process that is killed loses the entries of so long, and of the writing that was under way."""
MAX_WAITING = 20_000
"""Beyond it, while the database takes nothing, entries are counted instead of kept."""
_MAX_AT_ONCE = 500
_LAST_WRITES_S = 5.0


class AuditTrail:
    """The entries of one process that wait to be written; one for a process, any number for a database."""

    def __init__(
        self, database: Database, *, every_s: float = WRITE_EVERY_S, max_waiting: int = MAX_WAITING
    ) -> None:
        self._database = database
        self._every_s = every_s
        self._max_waiting = max_waiting
        self._waiting: deque[AuditRecord] = deque()
        self._lost = 0
        """Entries that were counted only, since an entry last said how many."""

    def put(self, record: AuditRecord) -> None:
        """Let an entry be written soon; never waits."""
        record.act.is_recorded = True
        if self._database.read_only:
            return
        if len(self._waiting) < self._max_waiting:
            self._waiting.append(record)
        else:
            self._lost += 1

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write what waits every so often in the block, and the rest at its end."""
        ending = asyncio.Event()
        task = asyncio.create_task(self._write_until(ending))
        try:
            yield
        finally:
            ending.set()  # not cancelled: what it writes just now would be written twice
            await asyncio.wait([task], timeout=_LAST_WRITES_S)
            task.cancel()
            if lost := len(self._waiting) + self._lost:
                log.error("audit entries lost", entries=lost)

    async def _write_until(self, ending: asyncio.Event) -> None:
        is_failing = False
        while not ending.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await ending.wait()
            try:
                await self._write_all()
                is_failing = False
            except (SQLAlchemyError, DatabaseError, OSError) as error:
                if not is_failing:
                    log.warning("audit entries wait", entries=len(self._waiting), error=_first_line(error))
                is_failing = True

    async def _write_all(self) -> None:
        """Write what waits; if it fails, it still waits."""
        while self._waiting or self._lost:
            records, lost = list(islice(self._waiting, _MAX_AT_ONCE)), self._lost
            async with self._database.write() as session:
                if lost:
                    session.audited.append(_lost_entries(lost))
                session.audited += records
            for _ in records:
                self._waiting.popleft()
            self._lost -= lost


def _lost_entries(count: int) -> AuditRecord:
    """Return the entry that stands for others: nothing is missing without a trace."""
    return AuditRecord(action="audit.lost", outcome=AuditOutcome.FAILED, detail={"entries": count}, act=Act())


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
