"""Reads the measures of whole minutes from the rollups, also back after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from context_builder.risk.measures.history import Minute
from context_builder.risk.measures.minutes import MAX_WINDOW, measured_minutes
from context_builder.risk.records.objectives import read_objectives
from context_builder.rollups.scope import RollupScope
from context_builder.rollups.span import MINUTE, Span
from context_builder.rollups.store import Rollups, RollupStore
from context_builder.rollups.table import REQUESTS
from models import Resolution
from models.database import Database
from models.snapshot import Snapshots

REMEMBERED = timedelta(hours=26)
"""What is read back after a restart: the usual change at a time of day needs a whole day."""
SETTLED_AFTER = timedelta(seconds=30)
"""A minute is taken this long after its end, so that its last requests are counted, if they are not slow."""
_CHUNK = timedelta(hours=2)


async def read_minutes(
    rollups: Rollups, start: datetime, end: datetime, scope: RollupScope | None = None
) -> list[Minute]:
    """Return the minutes [start, end), which are whole minutes. Hold no session of the snapshot meanwhile."""
    if start >= end:
        return []
    rows = await rollups.read(REQUESTS, Span(Resolution.MINUTE, start - MAX_WINDOW * MINUTE, end))
    rows = scope.of(rows) if scope is not None else rows
    return await asyncio.to_thread(lambda: list(measured_minutes(rows, start, end)))


@dataclass(frozen=True, slots=True, repr=False)
class MeasuredPast:
    """What a span of the past was like.

    Without a text of its own: `asyncio.run` makes one of the result of its task, which would take seconds.
    """

    names: Mapping[int, str]
    """Of all deployments, by id."""
    objectives: Mapping[int, float]
    """Service level objectives of p95 in ms, by id, of those that have one."""
    minutes: Sequence[Minute]


async def read_database(database: Database, start: datetime, end: datetime) -> MeasuredPast:
    """Return the whole minutes [start, end).

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with AsyncExitStack() as stack:
        snapshot = await stack.enter_async_context(Snapshots(database, readers=1).open())
        rollups = await stack.enter_async_context(await RollupStore().at(snapshot))
        names = {number: one.deployment for number, one in rollups.names.deployments.items()}
        async with snapshot.session() as session:
            objectives = await read_objectives(session)
        minutes = await _read_in_parts(rollups, _minute(start), _minute(end))
        return MeasuredPast(names, objectives, minutes)


async def read_new_minutes(rollups: Rollups, last: datetime | None, now: datetime) -> list[Minute]:
    """Return the settled minutes after `last`, which is the start of the last one read; None: REMEMBERED.

    Raises:
        DatabaseError: The database cannot be read.
    """
    end = _minute(now - SETTLED_AFTER)
    start = end - REMEMBERED
    if last is not None and last < end:
        start = max(start, last + MINUTE)
    return await _read_in_parts(rollups, start, end)


async def _read_in_parts(rollups: Rollups, start: datetime, end: datetime) -> list[Minute]:
    found: list[Minute] = []
    while start < end:
        until = min(start + _CHUNK, end)
        found += await read_minutes(rollups, start, until)
        start = until
    return found


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
