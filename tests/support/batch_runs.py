"""Runs through the Batches API over a few incidents, and what they report and store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from context_builder.postmortems.batches.progress import Progress
from context_builder.postmortems.batches.run import BatchRun
from context_builder.postmortems.candidates import Selection
from models.database import Database
from tests.support.batch_process import document
from tests.support.patience import PATIENCE_S

INCIDENTS = 5
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EVERYTHING = Selection()
ALL = [f"inc_{number}" for number in range(1, INCIDENTS + 1)]

MakeRun = Callable[..., AbstractAsyncContextManager[BatchRun]]


class Events(list[dict[str, Any]]):
    """The progress events of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Condition()

    async def report(self, event: Progress) -> None:
        async with self._changed:
            self.append(document(event))
            self._changed.notify_all()

    def of(self, kind: str, field: str) -> list[Any]:
        return [each[field] for each in self if each["event"] == kind]

    async def until(self, kind: str) -> None:
        """Return once an event of a kind was reported."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: any(each["event"] == kind for each in self))


async def rows(database: Database, table: type[Any]) -> list[Any]:
    async with database.read() as session:
        return list(await session.scalars(select(table).order_by(table.id)))


async def interrupted(make_run: MakeRun, events: Events, selection: Selection) -> None:
    """Stop a run while it waits for its batch."""
    async with make_run() as run:
        running = asyncio.create_task(run.run(selection, concurrency=1))
        await events.until("WaitingForBatches")
        assert (await run.left())[0] == 1
        running.cancel()
        await asyncio.wait([running])


async def go(make_run: MakeRun, selection: Selection = EVERYTHING, **options: Any) -> None:
    async with make_run(**options) as run:
        await run.run(selection, concurrency=1)
