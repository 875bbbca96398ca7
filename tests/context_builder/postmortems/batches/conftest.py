"""Runs through the Batches API."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest

from context_builder.postmortems.batches.run import BatchRun
from models import Incident
from models.database import Database
from tests.loopback.behaviour import Reply
from tests.loopback.messages_api import MessagesApi
from tests.support.batch_process import batch_run
from tests.support.batch_runs import INCIDENTS, NOON, Events, MakeRun


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def make_run(database: Database, messages_api: MessagesApi, events: Events) -> MakeRun:
    """Runs over a few resolved incidents, the oldest of which is inc_5."""
    async with database.write() as session:
        for number in range(1, INCIDENTS + 1):
            session.add(
                Incident(
                    public_id=f"inc_{number}", title=f"Outage {number}", severity="high", status="resolved",
                    started_at=NOON - timedelta(hours=number + 1), resolved_at=NOON - timedelta(hours=number),
                )
            )  # fmt: skip
    messages_api.batches.always(Reply(text="## Summary\n\nIt was bad."))

    def make(**options: Any) -> AbstractAsyncContextManager[BatchRun]:
        return batch_run(database, messages_api.url, events.report, **options)

    return make
