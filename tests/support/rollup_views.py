"""The rollups of a snapshot of its own, for tests of what reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from context_builder.rollups.store import Rollups, RollupStore
from models.database import Database
from models.snapshot import Snapshots


@asynccontextmanager
async def rollups_of(
    database: Database, store: RollupStore | None = None, *, readers: int = 1
) -> AsyncIterator[Rollups]:
    """Opens a snapshot and gives its rollups, by default with nothing loaded yet.

    With one reader, waiting for rollups while holding a session never ends.
    """
    async with (
        Snapshots(database, readers=readers).open() as snapshot,
        await (store or RollupStore()).at(snapshot) as rollups,
    ):
        yield rollups
