"""Keeps a forecaster up to date with the database, and stores its forecasts beside what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import datetime

from context_builder.risk.forecast.forecaster import Forecaster
from context_builder.risk.learning.drift import DriftMonitor
from context_builder.risk.learning.matured import store_forecasts, store_outcomes
from context_builder.risk.measures.reading import read_new_minutes
from context_builder.risk.outlook import Outlook
from context_builder.risk.records.objectives import read_objectives
from context_builder.rollups.span import moment_of
from context_builder.rollups.store import RollupStore
from models.database import Database
from models.snapshot import Snapshots


class Feeder:
    """The one owner of a forecaster in a process; calls of `feed` do not overlap."""

    def __init__(self, database: Database, forecaster: Forecaster, *, stores: bool = True) -> None:
        """Feed a forecaster from a database; with `stores` its forecasts are written to it."""
        self.forecaster = forecaster
        self.drifted_at: datetime | None = None
        """When forecasts last became worse, so that the model should be trained again."""
        self._database = database
        self._snapshots = Snapshots(database, readers=1)
        self._rollups = RollupStore()
        self._stores = stores
        self._drift = DriftMonitor()

    async def feed(self, now: datetime) -> Mapping[int, Outlook]:
        """Read the minutes since the last call, at first a day of them, and return the outlooks.

        Raises:
            DatabaseError: The database cannot be read or written.
        """
        last = self.forecaster.history.last
        async with AsyncExitStack() as stack:
            snapshot = await stack.enter_async_context(self._snapshots.open())
            rollups = await stack.enter_async_context(await self._rollups.at(snapshot))
            async with snapshot.session() as session:
                objectives = await read_objectives(session)
            minutes = await read_new_minutes(rollups, None if last is None else moment_of(last), now)
        self.forecaster.aim_at(objectives)
        for minute in minutes:
            # One at a time: a day of many deployments takes longer than others want to wait for the loop.
            taken = await asyncio.to_thread(self.forecaster.observe, minute)
            if taken and self._drift.update(self.forecaster.standardized_errors):
                self.drifted_at = moment_of(minute.number + 1)
        outlooks = await asyncio.to_thread(self.forecaster.tick, now)
        newest = self.forecaster.history.last
        if self._stores and newest is not None and newest != last:
            history, at = self.forecaster.history, moment_of(newest + 1)
            async with self._database.write() as session:
                await store_outcomes(session, history, at)
                await store_forecasts(session, history, outlooks, at)
        return outlooks
